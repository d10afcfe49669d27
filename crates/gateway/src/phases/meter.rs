//! What is owed for a request: written to the journal before the answer is released.
//!
//! The head of an answer waits for the record of what is known by then (that it was a request);
//! the last part of its body waits for the record of what is known only then (bytes, time). If the
//! visitor or the application breaks off, what had passed is written; if that cannot be written,
//! the journal keeps it until it can. Only what an application
//! answered is counted: nobody pays for a page of ours. If the process is killed while a body is
//! under way, its bytes are not counted: that is for the customer, not against them.

use std::{io, sync::Arc, time::Instant};

use api::{
    Problem,
    billing::UsageEvent,
    configurator::Route,
    manifest::{Count, Meter},
};
use types::{RequestId, Timestamp};

use super::authorize::Meant;
use crate::{bodies::Flow, front::Front, journal::Journal, visit::Visit};

/// Billing takes no event with a larger quantity, and one that it refused would hold up the rest.
const QUANTITY_MAX: u64 = 1_000_000_000_000;

/// What remains to be written when the body of an answer ends; dropping it writes it.
pub(crate) struct Tail {
    journal: Arc<Journal>,
    counted: Vec<(Count, UsageEvent)>,
    began: Instant,
    flow: Arc<Flow>,
    bytes_out: u64,
}

/// Writes what is known now. `whole` says that the answer has no body, so that everything is known.
/// Answers with what is to be written later, if there is something.
pub(crate) fn before_release(
    front: &Front,
    visit: &Visit,
    meant: &Meant,
    status: u16,
    (flow, whole): (&Arc<Flow>, bool),
) -> Result<Option<Tail>, Problem> {
    let method = visit.head.method.as_str();
    let mut now = Vec::new();
    let mut counted = Vec::new();
    for (name, meter) in meant.manifest.meters_of(method, &meant.path, status) {
        let event = event(name, meter, meant, method, (visit.id, visit.at));
        if meter.count == Count::Requests {
            now.push(event);
        } else {
            counted.push((meter.count, event));
        }
    }
    let mut tail = tail(front, visit, flow);
    tail.counted = counted;
    if whole {
        now.extend(tail.events());
    }
    // Also if nothing is written yet: what will be owed must not pile up.
    if !now.is_empty() || !tail.counted.is_empty() {
        tail.begin(&now).map_err(|cause| unrecorded(visit, &cause))?;
    }
    Ok((!tail.counted.is_empty()).then_some(tail))
}

/// Whether usage can be written at all, for a request whose effect comes before its record.
pub(super) fn check(front: &Front, visit: &Visit) -> Result<(), Problem> {
    front.journal.append(&[]).map_err(|cause| unrecorded(visit, &cause))
}

/// Writes what is owed for a request that became a job, before it is answered. It was queued, so
/// what cannot be written now is written as soon as it can be.
pub(super) fn of_job(front: &Front, visit: &Visit, meant: &Meant, status: u16, flow: &Arc<Flow>) {
    let mut tail = tail(front, visit, flow);
    let method = visit.head.method.as_str();
    let meters = meant.manifest.meters_of(method, &meant.path, status);
    tail.counted = meters
        .map(|(name, meter)| (meter.count, event(name, meter, meant, method, (visit.id, visit.at))))
        .collect();
}

fn tail(front: &Front, visit: &Visit, flow: &Arc<Flow>) -> Tail {
    Tail {
        journal: Arc::clone(&front.journal),
        counted: Vec::new(),
        began: visit.began,
        flow: Arc::clone(flow),
        bytes_out: 0,
    }
}

fn unrecorded(visit: &Visit, cause: &io::Error) -> Problem {
    tracing::error!(request = %visit.id, %cause, "usage cannot be written; held back");
    Problem::unavailable("usage cannot be recorded here now; try again", 5)
}

fn event(
    name: &str,
    meter: &Meter,
    meant: &Meant,
    method: &str,
    (id, at): (RequestId, Timestamp),
) -> UsageEvent {
    let Route { account, instance, .. } = *meant.route;
    let matched = &meant.manifest.routes[meant.matched].pattern;
    // A pattern and never the path: paths can hold what only the visitor may know.
    let pattern = meter.pattern.as_ref().unwrap_or(matched);
    let note = match pattern.method() {
        Some(_) => pattern.to_string(),
        None => format!("{method} {pattern}"),
    };
    UsageEvent {
        event: id.to_string(),
        at,
        account,
        instance,
        meter: name.to_owned(),
        quantity: 1,
        note,
    }
}

impl Tail {
    /// Writes what is known now. If that fails the answer is held back, and nothing is owed for it.
    fn begin(&mut self, now: &[UsageEvent]) -> io::Result<()> {
        self.journal.append(now).inspect_err(|_| self.counted.clear())
    }

    /// So many bytes more are about to be released.
    pub(crate) fn passed(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// What was counted; afterwards there is nothing left to write.
    fn events(&mut self) -> Vec<UsageEvent> {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (bytes_in, bytes_out) = (self.flow.bytes(), self.bytes_out);
        let counted = std::mem::take(&mut self.counted).into_iter();
        let filled = counted.flat_map(|(count, event)| {
            let quantity = match count {
                Count::Requests => 1,
                Count::BytesIn => bytes_in,
                Count::BytesOut => bytes_out,
                Count::Duration => millis,
            };
            parts(quantity).map(move |quantity| UsageEvent { quantity, ..event.clone() })
        });
        filled.collect()
    }
}

/// A quantity in as many parts as billing takes; none if it is nothing.
fn parts(quantity: u64) -> impl Iterator<Item = u64> {
    let whole =
        std::iter::repeat_n(QUANTITY_MAX, usize::try_from(quantity / QUANTITY_MAX).unwrap_or(0));
    whole.chain(Some(quantity % QUANTITY_MAX).filter(|rest| *rest > 0))
}

impl Drop for Tail {
    fn drop(&mut self) {
        let events = self.events();
        if !events.is_empty() {
            self.journal.owe(events);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(journal: &Arc<Journal>, flow: Arc<Flow>) -> Tail {
        let event = UsageEvent {
            event: "req_1".into(),
            at: Timestamp::from_micros(1),
            account: types::AccountId::named(&["a"]),
            instance: types::InstanceId::named(&["i"]),
            meter: "bytes_out".into(),
            quantity: 0,
            note: String::new(),
        };
        let (counted, began) = (vec![(Count::BytesOut, event)], Instant::now());
        Tail { journal: Arc::clone(journal), counted, began, flow, bytes_out: 0 }
    }

    #[test]
    fn nothing_is_owed_for_an_answer_that_was_held_back_and_all_for_one_that_was_not() {
        let folder = std::env::temp_dir().join(format!("gateway-meter-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let journal = Arc::new(Journal::open(&folder, Timestamp::from_micros(1)).unwrap());
        let released = |bytes| tail(&journal, Arc::default()).passed(bytes);
        released(3);
        let away = journal.fail();
        let mut held_back = tail(&journal, Arc::default());
        held_back.passed(5);
        assert!(held_back.begin(&[]).is_ok(), "nothing had to be written for this one");
        released(7);
        assert!(held_back.begin(&[]).is_err());
        drop(held_back);
        journal.recover(&away);
        drop(journal);
        assert_eq!(Journal::quantities(&folder), [3, 7]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn parts_sum_up() {
        assert_eq!(parts(0).count(), 0);
        assert_eq!(parts(7).collect::<Vec<_>>(), [7]);
        let parts: Vec<u64> = parts(2 * QUANTITY_MAX + 5).collect();
        assert_eq!(parts, [QUANTITY_MAX, QUANTITY_MAX, 5]);
    }
}
