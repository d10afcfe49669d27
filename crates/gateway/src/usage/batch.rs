//! What the requests of one thread owe, written down at once for all that are ready at the same time.
//!
//! A record waits for no clock: it is written when the thread has gone through what was ready with
//! it. So a busy thread writes once for many requests, and an idle one at once.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
};

use api::billing::UsageEvent;
use tokio::task::spawn_local;

use super::journal::{Journal, Line};

/// The batches of one thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Batches {
    journal: Arc<Journal>,
    /// The one that is written next.
    next: Rc<RefCell<Option<Rc<Batch>>>>,
}

#[derive(Default)]
struct Batch {
    line: RefCell<Line>,
    waiting: RefCell<Vec<Waker>>,
    outcome: RefCell<Option<Result<(), Rc<io::Error>>>>,
}

impl Batches {
    pub(crate) fn new(journal: &Arc<Journal>) -> Self {
        Self { journal: Arc::clone(journal), next: Rc::default() }
    }

    /// Writes `events` down. When this has returned, the end of this process does not lose them; if
    /// it fails, none of them is written.
    pub(crate) async fn write(&self, events: &[UsageEvent]) -> Result<(), Rc<io::Error>> {
        let batch = Rc::clone(self.next.borrow_mut().get_or_insert_with(|| {
            let this = self.clone();
            spawn_local(async move { this.write_next() });
            Rc::default()
        }));
        batch.line.borrow_mut().add(events).map_err(Rc::new)?;
        let written = |waker: &Waker| {
            let outcome = batch.outcome.borrow().clone();
            if outcome.is_none() {
                batch.waiting.borrow_mut().push(waker.clone());
            }
            outcome.map_or(Poll::Pending, Poll::Ready)
        };
        poll_fn(|cx| written(cx.waker())).await
    }

    fn write_next(&self) {
        let Some(batch) = self.next.take() else { return };
        let outcome = self.journal.append_line(batch.line.take()).map_err(Rc::new);
        *batch.outcome.borrow_mut() = Some(outcome);
        batch.waiting.take().into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use tokio::task::LocalSet;
    use types::{AccountId, InstanceId, Timestamp};

    fn event(quantity: u64) -> UsageEvent {
        UsageEvent {
            event: format!("req_{quantity}"),
            at: Timestamp::from_micros(1),
            account: AccountId::named(&["a"]),
            instance: InstanceId::named(&["i"]),
            meter: "requests".to_owned(),
            quantity,
            note: String::new(),
        }
    }

    #[tokio::test]
    async fn what_is_ready_at_once_is_one_line_and_fails_or_stands_together() {
        let folder = std::env::temp_dir().join(format!("gateway-batch-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let journal = Arc::new(Journal::open(&folder, Timestamp::from_micros(1)).unwrap());
        let batches = Batches::new(&journal);
        let events: Vec<_> = (1..=6).map(event).collect();
        let all = || join_all(events.chunks(2).map(|some| batches.write(some)));
        let local = LocalSet::new();
        assert!(local.run_until(all()).await.iter().all(Result::is_ok));
        let lines = |folder: &std::path::Path| -> usize {
            let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
            let usage = files.filter(|file| file.extension().is_some_and(|end| end == "usage"));
            usage.map(|file| std::fs::read_to_string(file).unwrap().lines().count()).sum()
        };
        assert_eq!(lines(&folder), 1);
        assert!(local.run_until(batches.write(&[])).await.is_ok());
        assert_eq!(lines(&folder), 1, "nothing is no line");
        let away = journal.fail();
        assert!(local.run_until(all()).await.iter().all(Result::is_err));
        journal.recover(&away);
        assert!(local.run_until(batches.write(&[event(7)])).await.is_ok());
        drop((batches, journal));
        assert_eq!(Journal::quantities(&folder), [1, 2, 3, 4, 5, 6, 7]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
