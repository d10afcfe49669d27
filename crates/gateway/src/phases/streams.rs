//! Answers that go on for long, judged again when something changes that they were judged by: a
//! revocation, the end of a session, maintenance, a suspension. Nothing is done for those that stand
//! still while nothing changes.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use api::{Kind, Problem};
use tokio::task::spawn_local;
use types::Timestamp;

use super::{authorize::Meant, recheck::recheck_going_on};
use crate::{
    routes::in_flight::{InFlight, is_held},
    state::State,
    upstream::endpoint::Busy,
};

/// How often it is looked whether anything has changed, for as long as there is an answer that goes
/// on. It has ended within a second of what ends it.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// The answers of one thread that go on.
pub(crate) struct Streams {
    state: Arc<State>,
    open: RefCell<HashMap<u64, Rc<Open>>>,
    /// Those that came since it was looked last: what changed between their being judged and their
    /// being here is seen by looking at them once.
    new: RefCell<Vec<u64>>,
    next: Cell<u64>,
    /// When what one of them proved itself by runs out.
    expiry: Cell<Option<Timestamp>>,
    is_watched: Cell<bool>,
}

struct Open {
    meant: Meant,
    /// It ends by itself only when somebody leaves, so nobody can wait for it.
    is_endless: bool,
    ended: RefCell<Option<Problem>>,
    waker: RefCell<Option<Waker>>,
}

/// What counts a request for as long as its answer goes on: at its endpoint, and at its instance.
pub(super) type UnderWay = (Busy, Option<InFlight>);

/// An answer that goes on, for as long as this is kept.
pub(crate) struct Watched {
    streams: Rc<Streams>,
    number: u64,
    open: Rc<Open>,
    _under_way: UnderWay,
}

/// What all of them were judged by.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Seen {
    revisions: [u64; 4],
    are_fresh: [bool; 2],
}

impl Streams {
    pub(crate) fn new(state: &Arc<State>) -> Rc<Self> {
        Rc::new(Self {
            state: Arc::clone(state),
            open: RefCell::default(),
            new: RefCell::default(),
            next: Cell::default(),
            expiry: Cell::default(),
            is_watched: Cell::default(),
        })
    }

    /// Watches an answer to what was `meant`.
    pub(super) fn watch(
        self: &Rc<Self>,
        meant: Meant,
        is_endless: bool,
        under_way: UnderWay,
    ) -> Watched {
        let number = self.next.replace(self.next.get() + 1);
        self.expiry.set(earliest([self.expiry.get(), meant.asker.caller.until]));
        let (ended, waker) = (RefCell::default(), RefCell::default());
        let open = Rc::new(Open { meant, is_endless, ended, waker });
        self.open.borrow_mut().insert(number, Rc::clone(&open));
        self.new.borrow_mut().push(number);
        if !self.is_watched.replace(true) {
            let this = Rc::clone(self);
            spawn_local(async move { this.look_on().await });
        }
        Watched { streams: Rc::clone(self), number, open, _under_way: under_way }
    }

    /// Looks until there are none.
    async fn look_on(&self) {
        let mut seen = None;
        loop {
            tokio::time::sleep(LOOK_PERIOD).await;
            if self.open.borrow().is_empty() {
                self.new.borrow_mut().clear();
                self.is_watched.set(false);
                return;
            }
            let new = self.new.take();
            let now = self.seen();
            let is_same = seen.replace(now) == Some(now);
            let is_over = self.expiry.get().is_some_and(|expiry| expiry <= self.state.clock.now());
            if is_same && !is_over {
                let open = self.open.borrow();
                new.iter().filter_map(|number| open.get(number)).for_each(|it| self.judge(it));
            } else {
                let open: Vec<_> = self.open.borrow().values().cloned().collect();
                for it in &open {
                    self.judge(it);
                }
                let left = open.iter().filter(|it| it.ended.borrow().is_none());
                self.expiry.set(earliest(left.map(|it| it.meant.asker.caller.until)));
            }
        }
    }

    fn seen(&self) -> Seen {
        let State { hosts, releases, guard, .. } = &*self.state;
        let (access, identity) = guard.revision();
        let revisions = [hosts.revision(), releases.revision(), access, identity];
        Seen { revisions, are_fresh: [hosts.are_fresh(), guard.is_fresh()] }
    }

    fn judge(&self, open: &Open) {
        let problem = match recheck_going_on(&self.state, &open.meant) {
            Err(problem) => problem,
            Ok(now) if open.is_endless && is_held(&now) => moving(),
            Ok(_) => return,
        };
        if open.ended.borrow_mut().replace(problem).is_none() {
            open.waker.take().into_iter().for_each(Waker::wake);
        }
    }
}

fn earliest(all: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    all.into_iter().flatten().min()
}

fn moving() -> Problem {
    let detail = "this instance is being brought to a new version; connect again";
    Problem { title: "A new version".into(), ..Problem::new(Kind::Unavailable, "moving", detail) }
}

impl Watched {
    /// Ready with the reason once it has to end.
    pub(crate) fn poll_ended(&self, cx: &Context<'_>) -> Poll<Problem> {
        if let Some(problem) = &*self.open.ended.borrow() {
            return Poll::Ready(problem.clone());
        }
        let mut waker = self.open.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.streams.open.borrow_mut().remove(&self.number);
    }
}
