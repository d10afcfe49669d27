//! Batches of usage: which of their events are new, and what an event may be.

use api::billing::{RefusedEvent, UsageEvent};

use super::is_billable;
use crate::Error;

/// How many events a batch may have.
const EVENTS_MAX: usize = 1_000;
/// More than any request or job can use of anything.
const QUANTITY_MAX: u64 = 1_000_000_000_000;
const EVENT_LENGTH_MAX: usize = 200;
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

/// A batch, with what is wrong set aside.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Events that follow each other without gaps, as they are kept, and the number of the first.
    pub(crate) runs: Vec<(u64, Vec<UsageEvent>)>,
    /// Those that do not count.
    pub(crate) refused: Vec<RefusedEvent>,
}

/// The events as they are kept. A note is for people and is cut; an event of which anything else is
/// wrong is set aside, since what is not kept as it came could not be recognised again, and no other
/// waits for it.
pub(crate) fn checked_events(
    first: u64,
    epoch: u64,
    events: Vec<UsageEvent>,
) -> Result<Checked, Error> {
    let refuse = |sentence: String| Err(Error::Batch(sentence));
    if events.len() > EVENTS_MAX {
        return refuse(format!("a batch has at most {EVENTS_MAX} events: send several"));
    }
    // Numbers are kept in 63 bits, and a batch's last one must fit too.
    if first.max(epoch) > 1 << 62 {
        return refuse("epochs and sequence numbers must be below 2^62".to_owned());
    }
    let mut checked = Checked::default();
    for (sequence, event) in (first..).zip(events) {
        match checked_event(event) {
            Ok(event) => match checked.runs.last_mut() {
                Some((first, run)) if *first + run.len() as u64 == sequence => run.push(event),
                _ => checked.runs.push((sequence, vec![event])),
            },
            Err(reason) => checked.refused.push(RefusedEvent { sequence, reason }),
        }
    }
    Ok(checked)
}

fn checked_event(event: UsageEvent) -> Result<UsageEvent, String> {
    let refuse = |what: &str| {
        let name: String = event.event.chars().take(60).collect();
        Err(format!("the usage event `{name}` {what}"))
    };
    let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !is_plain(&event.event) || event.event.len() > EVENT_LENGTH_MAX {
        return refuse("needs an id of 1 to 200 characters");
    }
    let letter =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if !(1..=40).contains(&event.meter.len()) || !event.meter.bytes().all(letter) {
        return refuse("needs a meter of 1 to 40 of a-z, 0-9, `-` and `_`");
    }
    if event.quantity > QUANTITY_MAX {
        return refuse("has a quantity above 1000000000000: split it");
    }
    if !is_billable(event.at) {
        return refuse("is not of this century: look at the clock");
    }
    let note = event.note.chars().filter(|letter| !letter.is_control()).take(NOTE_LENGTH_MAX);
    Ok(UsageEvent { note: note.collect(), ..event })
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
