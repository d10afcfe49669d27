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
