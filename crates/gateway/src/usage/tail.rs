//! What is owed for an answer once its body has ended: bytes and time.

use std::{io, rc::Rc, sync::Arc, time::Instant};

use api::{billing::UsageEvent, manifest::Count};

use super::{batch::Batches, journal::Journal};
use crate::request::body::Flow;

/// Billing takes no event with a larger quantity, and one that it refused would hold up the rest.
const QUANTITY_MAX: u64 = 1_000_000_000_000;

/// What remains to be written when the body of an answer ends; dropping it writes it.
pub(crate) struct Tail {
    journal: Arc<Journal>,
    counted: Vec<(Count, UsageEvent)>,
    began: Instant,
    flow: Rc<Flow>,
    bytes_out: u64,
}

impl Tail {
    /// What is `counted` of a request that began then and whose body is `flow`, by the end.
    pub(crate) fn new(
        journal: &Arc<Journal>,
        counted: Vec<(Count, UsageEvent)>,
        began: Instant,
        flow: &Rc<Flow>,
    ) -> Self {
        let (journal, flow) = (Arc::clone(journal), Rc::clone(flow));
        Self { journal, counted, began, flow, bytes_out: 0 }
    }

    /// Whether nothing will be owed.
    pub(crate) fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// Writes what is known now. If that fails the answer is held back, and nothing is owed for it.
    pub(crate) async fn begin(
        &mut self,
        batches: &Batches,
        now: &[UsageEvent],
    ) -> Result<(), Rc<io::Error>> {
        batches.write(now).await.inspect_err(|_| self.counted.clear())
    }

    /// So many bytes more are about to be released.
    pub(crate) fn passed(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// What was counted; afterwards there is nothing left to write.
    pub(crate) fn events(&mut self) -> Vec<UsageEvent> {
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
    use types::Timestamp;

    fn tail(journal: &Arc<Journal>) -> Tail {
        let event = UsageEvent {
            event: "req_1".into(),
            at: Timestamp::from_micros(1),
            account: types::AccountId::named(&["a"]),
            instance: types::InstanceId::named(&["i"]),
            meter: "bytes_out".into(),
            quantity: 0,
            note: String::new(),
        };
        Tail::new(journal, vec![(Count::BytesOut, event)], Instant::now(), &Rc::default())
    }

    #[tokio::test]
    async fn nothing_is_owed_for_an_answer_that_was_held_back_and_all_for_one_that_was_not() {
        let folder = std::env::temp_dir().join(format!("gateway-meter-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let journal = Arc::new(Journal::open(&folder, Timestamp::from_micros(1)).unwrap());
        let released = |bytes| tail(&journal).passed(bytes);
        let batches = Batches::new(&journal);
        let local = tokio::task::LocalSet::new();
        released(3);
        let away = journal.fail();
        let mut held_back = tail(&journal);
        held_back.passed(5);
        let begun = local.run_until(held_back.begin(&batches, &[])).await;
        assert!(begun.is_ok(), "nothing had to be written for this one");
        released(7);
        assert!(local.run_until(held_back.begin(&batches, &[])).await.is_err());
        drop((held_back, batches));
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
