//! How many requests are under way for an instance, and which instances are held: those for which
//! requests wait, since they move to another release with their databases.
//!
//! INVARIANT: a request is counted before it looks whether it has to wait, and a gateway says that
//! nothing is under way after it has heard that requests are to wait. So none is passed over that was
//! let through by what was known before.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use api::configurator::Route;
use tokio::sync::Notify;

/// The requests of one instance.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    count: AtomicUsize,
    /// Counts how often it was held, let go, or served by another release.
    version: AtomicU64,
    is_held: AtomicBool,
    /// Tells that the last one of some instance that is held has left.
    left: Arc<Notify>,
}

/// A request that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Requests>);

impl Requests {
    pub(crate) fn new(left: &Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { left: Arc::clone(left), ..Self::default() })
    }

    /// Counts a request, if what is known of its instance, which has this version, still holds.
    pub(crate) fn enter(self: &Arc<Self>, version: u64) -> Option<InFlight> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let in_flight = InFlight(Arc::clone(self));
        (self.version.load(Ordering::SeqCst) == version).then_some(in_flight)
    }

    /// What is known of the instance changes from one to the other; answers the version from now on.
    pub(crate) fn turn(&self, before: Option<&Route>, now: &Route) -> u64 {
        let is_held = is_held(now);
        let same =
            before.is_some_and(|it| (is_held, &now.release) == (self::is_held(it), &it.release));
        self.is_held.store(is_held, Ordering::SeqCst);
        let more = u64::from(!same);
        self.version.fetch_add(more, Ordering::SeqCst) + more
    }

    pub(crate) fn are_none(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.is_held.load(Ordering::SeqCst)
        {
            self.0.left.notify_waiters();
        }
    }
}

/// Whether requests wait.
pub(crate) fn is_held(route: &Route) -> bool {
    route.moving.as_ref().is_some_and(|moving| moving.held)
}
