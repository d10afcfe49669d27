//! What is owed for an answer beside that it was given: bytes and time. It is written when the answer
//! ends, and for one that goes on for long now and then as it goes.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

use api::{billing::UsageEvent, manifest::Count};

use super::{batch::Batches, journal::Journal};
use crate::request::body::Flow;
use tokio::time::{Sleep, sleep};
use types::Timestamp;

/// Billing takes no event with a larger quantity, and one that it refused would hold up the rest.
const QUANTITY_MAX: u64 = 1_000_000_000_000;

/// So much of an answer that goes on is not written yet if this process is killed.
const SETTLE_PERIOD: Duration = Duration::from_secs(30);

/// What remains to be written when the body of an answer ends; dropping it writes it.
pub(crate) struct Tail {
    journal: Arc<Journal>,
    counted: Vec<Counted>,
    began: Instant,
    flow: Rc<Flow>,
    bytes_out: u64,
    /// When what has passed is written although the answer goes on.
    due: Option<Pin<Box<Sleep>>>,
}

struct Counted {
    count: Count,
    /// As it is written next, but for how much it is.
    event: UsageEvent,
    began: Timestamp,
    written: u64,
}

impl Tail {
    /// What is `counted` of a request that began then and whose body is `flow`, by the end.
    pub(crate) fn new(
        journal: &Arc<Journal>,
        counted: Vec<(Count, UsageEvent)>,
        began: Instant,
        flow: &Rc<Flow>,
    ) -> Self {
        let fresh = |(count, event): (Count, UsageEvent)| {
            let began = event.at;
            Counted { count, event, began, written: 0 }
        };
        let counted = counted.into_iter().map(fresh).collect();
        let (journal, flow) = (Arc::clone(journal), Rc::clone(flow));
        Self { journal, counted, began, flow, bytes_out: 0, due: None }
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

    /// Writes what has passed when it is time to, and sees to it that this is polled then.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) {
        let due = self.due.get_or_insert_with(|| Box::pin(sleep(SETTLE_PERIOD)));
        while due.as_mut().poll(cx).is_ready() {
            due.as_mut().reset(tokio::time::Instant::now() + SETTLE_PERIOD);
            let events = filled(&mut self.counted, self.began, (self.flow.bytes(), self.bytes_out));
            self.journal.owe(events);
        }
    }

    /// What was counted; afterwards there is nothing left to write.
    pub(crate) fn events(&mut self) -> Vec<UsageEvent> {
        let mut counted = std::mem::take(&mut self.counted);
        filled(&mut counted, self.began, (self.flow.bytes(), self.bytes_out))
    }
}

/// What was counted since it was written last. What comes after that has the time of its own, since a
/// month may end in between.
fn filled(
    counted: &mut [Counted],
    began: Instant,
    (bytes_in, bytes_out): (u64, u64),
) -> Vec<UsageEvent> {
    let elapsed = began.elapsed();
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let mut events = Vec::new();
    for it in counted {
        let quantity = match it.count {
            Count::Requests => 1,
            Count::BytesIn => bytes_in,
            Count::BytesOut => bytes_out,
            Count::Duration => millis,
        };
        let more = quantity - std::mem::replace(&mut it.written, quantity);
        let part = |quantity| UsageEvent { quantity, ..it.event.clone() };
        events.extend(parts(more).map(part));
        it.event.at = it.began.plus(elapsed);
    }
    events
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

    fn event() -> UsageEvent {
        UsageEvent {
            event: "req_1".into(),
            at: Timestamp::from_micros(1),
            account: types::AccountId::named(&["a"]),
            instance: types::InstanceId::named(&["i"]),
            meter: "bytes_out".into(),
            quantity: 0,
            note: String::new(),
        }
    }

    fn tail(journal: &Arc<Journal>) -> Tail {
        Tail::new(journal, vec![(Count::BytesOut, event())], Instant::now(), &Rc::default())
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

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_for_long_is_written_as_it_goes() {
        let folder = std::env::temp_dir().join(format!("gateway-goes-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let journal = Arc::new(Journal::open(&folder, Timestamp::from_micros(1)).unwrap());
        let mut tail = tail(&journal);
        let mut step = async |bytes: u64, seconds| {
            tail.passed(bytes);
            let waiting = std::future::poll_fn(|cx| {
                tail.poll_due(cx);
                std::task::Poll::<()>::Pending
            });
            let _ = tokio::time::timeout(Duration::from_secs(seconds), waiting).await;
            Journal::quantities(&folder)
        };
        assert!(step(3, 29).await.is_empty());
        assert_eq!(step(4, 2).await, [7]);
        assert_eq!(step(0, 40).await, [7], "nothing is not written");
        assert_eq!(step(5, 40).await, [7, 5]);
        tail.passed(6);
        drop((tail, journal));
        assert_eq!(Journal::quantities(&folder), [7, 5, 6]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_comes_later_has_a_later_time() {
        let mut counted = [Counted {
            count: Count::Duration,
            event: event(),
            began: Timestamp::from_micros(1),
            written: 0,
        }];
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let first = filled(&mut counted, ago(60), (0, 0));
        let second = filled(&mut counted, ago(100), (0, 0));
        assert_eq!(first[0].at, Timestamp::from_micros(1));
        assert_eq!(second[0].at.since(first[0].at).as_secs(), 60);
        assert_eq!((first[0].quantity / 1_000, second[0].quantity / 1_000), (60, 40));
    }

    #[test]
    fn parts_sum_up() {
        assert_eq!(parts(0).count(), 0);
        assert_eq!(parts(7).collect::<Vec<_>>(), [7]);
        let parts: Vec<u64> = parts(2 * QUANTITY_MAX + 5).collect();
        assert_eq!(parts, [QUANTITY_MAX, QUANTITY_MAX, 5]);
    }
}
