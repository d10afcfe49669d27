//! Batches of usage: which of their events are new, and which cannot be billed.

use api::billing::{JOB_MILLISECONDS, UsageEvent};

use super::is_billable;
use crate::Error;

/// How many events a batch may have.
const EVENTS_MAX: usize = 1_000;
/// More than any request or job can use of anything.
const QUANTITY_MAX: u64 = 1_000_000_000_000;
const EVENT_LENGTH_MAX: usize = 200;
const METER_LENGTH_MAX: usize = 40;
const NOTE_LENGTH_MAX: usize = 200;

/// How far a source has come in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The number of the first event that ever came.
    pub(crate) first: u64,
    /// The number of the one that comes next.
    pub(crate) next: u64,
}

/// How many of the `count` events from number `first` on were counted before: those at the front.
///
/// Numbers follow each other without gaps. So a batch that comes again is known whole, one that was
/// cut anew is known up to a point, and one that leaves something out is refused: what is lost must
/// show. An epoch begins with whatever number comes first, and nothing before that can be added.
pub(crate) fn known_part(progress: Progress, first: u64, count: usize) -> Result<usize, Error> {
    if first > progress.next {
        return Err(Error::Gap { expected: progress.next });
    }
    if first < progress.first {
        return Err(Error::BeforeEpoch { first: progress.first });
    }
    let known = usize::try_from(progress.next - first).unwrap_or(usize::MAX);
    Ok(known.min(count))
}

/// An event as it is kept, and why it cannot be billed, if so.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) event: UsageEvent,
    pub(crate) refusal: Option<Refusal>,
}

/// Why an event is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

/// The events as they are kept. A batch that cannot have a place is refused; an event that cannot be
/// billed is set aside, since what comes after it must not wait for it.
pub(crate) fn checked_events(
    source: &str,
    first: u64,
    epoch: u64,
    events: Vec<UsageEvent>,
) -> Result<Vec<Checked>, Error> {
    let refuse = |sentence: String| Err(Error::Batch(sentence));
    if events.len() > EVENTS_MAX {
        return refuse(format!("a batch has at most {EVENTS_MAX} events: send several"));
    }
    // Numbers are kept in 63 bits, and a batch's last one must fit too.
    if first.max(epoch) > 1 << 62 {
        return refuse("epochs and sequence numbers must be below 2^62".to_owned());
    }
    let counts_jobs = source == "jobs" || source.starts_with("jobs/");
    let checked = events.into_iter().map(|event| {
        let refusal = refusal(&event, counts_jobs);
        Checked { event: kept(event), refusal }
    });
    Ok(checked.collect())
}

/// What people wrote or chose is cut to what can be kept, always in the same way, so that an event
/// that comes again is recognised. For what can be billed this only changes the note.
fn kept(event: UsageEvent) -> UsageEvent {
    let plain = |text: &str, length: usize| -> String {
        text.chars().filter(|letter| !letter.is_control()).take(length).collect()
    };
    UsageEvent {
        event: plain(&event.event, EVENT_LENGTH_MAX),
        meter: plain(&event.meter, METER_LENGTH_MAX),
        quantity: event.quantity.min(i64::MAX.unsigned_abs()),
        note: plain(&event.note, NOTE_LENGTH_MAX),
        ..event
    }
}

fn refusal(event: &UsageEvent, counts_jobs: bool) -> Option<Refusal> {
    let refused = |code, detail: &str| Some(Refusal { code, detail: detail.to_owned() });
    let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !is_plain(&event.event) || event.event.len() > EVENT_LENGTH_MAX {
        return refused("event", "the event needs an id of 1 to 200 characters");
    }
    let letter =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if !(1..=METER_LENGTH_MAX).contains(&event.meter.len()) || !event.meter.bytes().all(letter) {
        return refused("meter", "the event needs a meter of 1 to 40 of a-z, 0-9, `-` and `_`");
    }
    if event.meter == JOB_MILLISECONDS && !counts_jobs {
        let detail = "the meter `job_milliseconds` is the platform's own: give the service's meter \
                      another name";
        return refused("meter_reserved", detail);
    }
    if event.quantity > QUANTITY_MAX {
        return refused("quantity", "the event has a quantity above 1000000000000");
    }
    if !is_billable(event.at) {
        let at = event.at;
        let detail =
            format!("the event is dated {at}, which is not of this century: a clock was wrong");
        return Some(Refusal { code: "clock", detail });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_batch_is_new_known_or_cut_anew() {
        let progress = Progress { first: 10, next: 20 };
        assert_eq!(known_part(progress, 20, 5).unwrap(), 0);
        assert_eq!(known_part(progress, 15, 5).unwrap(), 5);
        assert_eq!(known_part(progress, 15, 8).unwrap(), 5);
        assert_eq!(known_part(progress, 10, 3).unwrap(), 3);
        assert!(matches!(known_part(progress, 21, 1), Err(Error::Gap { expected: 20 })));
        assert!(matches!(known_part(progress, 9, 5), Err(Error::BeforeEpoch { first: 10 })));
    }

    proptest! {
        #[test]
        fn however_batches_are_cut_and_repeated_each_event_counts_once(
            sends in proptest::collection::vec((0u64..60, 0usize..12), 1..80),
        ) {
            let (mut progress, mut counted) = (Progress { first: 0, next: 0 }, Vec::new());
            for (first, count) in sends {
                let Ok(known) = known_part(progress, first, count) else { continue };
                let fresh = first + known as u64..first + count as u64;
                progress.next = progress.next.max(fresh.end);
                counted.extend(fresh);
            }
            prop_assert_eq!(counted, (0..progress.next).collect::<Vec<_>>());
        }
    }
}
