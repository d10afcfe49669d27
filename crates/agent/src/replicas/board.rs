//! What is known of each replica on a node.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use api::releases::{DesiredReplica, ReplicaReport, ReplicaState};
use tokio::{sync::watch, time::Instant};
use types::{InstanceId, Name, ReplicaId, Timestamp};

use super::checks::Condition;
use crate::{Node, hold::Output, host::ObservedReplica, logs::Printed};

/// What the tasks tell of their replicas.
pub(crate) struct Board {
    pub(crate) node: Arc<Node>,
    slots: Mutex<BTreeMap<Key, Slot>>,
}

/// A replica and its generation: while one takes over from another, both are there.
pub(crate) type Key = (ReplicaId, u64);

/// A replica, as it is now.
pub(crate) struct Slot {
    want: DesiredReplica,
    state: ReplicaState,
    address: Option<SocketAddr>,
    starts: u32,
    output: Output,
    /// Why it is not well.
    problem: String,
    /// When it is started again.
    next_start: Option<Timestamp>,
    /// Since when it is well.
    well: Option<Instant>,
    /// The end of what it printed before it failed last, with the reason.
    former: String,
    /// Turns true when it is to be stopped.
    stop: watch::Sender<bool>,
}

impl Board {
    pub(super) fn new(node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self { node, slots: Mutex::default() })
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<Key, Slot>> {
        self.slots.lock().expect("nobody panics while holding it")
    }

    /// A slot for a replica, and what tells that it is to be stopped; `None` if it has one.
    pub(super) fn add(&self, want: &DesiredReplica) -> Option<watch::Receiver<bool>> {
        let mut slots = self.slots();
        let Entry::Vacant(place) = slots.entry((want.replica, want.generation)) else {
            return None;
        };
        let (stop, stopping) = watch::channel(false);
        place.insert(Slot::new(want.clone(), stop));
        Some(stopping)
    }

    pub(super) fn change(&self, replica: Key, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots().get_mut(&replica) {
            change(slot);
        }
        self.node.changes.tell();
    }

    pub(super) fn remove(&self, replica: Key) {
        self.slots().remove(&replica);
        self.node.changes.tell();
    }

    /// How all of them are.
    pub(super) fn observe(&self) -> Vec<ObservedReplica> {
        self.slots().values().map(Slot::observe).collect()
    }

    /// What each prints.
    pub(super) fn printed(&self) -> Vec<Printed> {
        self.slots().values().map(Slot::printed).collect()
    }

    /// Whether it is known of each how it is.
    pub(super) fn is_settled(&self) -> bool {
        self.slots().values().all(|slot| slot.state != ReplicaState::Starting)
    }

    /// Whether another does well what this one does.
    pub(super) fn is_replaced(&self, replica: Key) -> bool {
        let slots = self.slots();
        let Some(own) = slots.get(&replica).map(Slot::role) else { return false };
        let mut others = slots.iter().filter(|(key, _)| **key != replica);
        others.any(|(_, it)| {
            it.state == ReplicaState::Healthy && !*it.stop.borrow() && it.role() == own
        })
    }

    pub(super) fn stop_all(&self) {
        self.slots().values().for_each(Slot::ask_to_stop);
    }
}

impl Slot {
    fn new(want: DesiredReplica, stop: watch::Sender<bool>) -> Self {
        Self {
            want,
            state: ReplicaState::Starting,
            address: None,
            starts: 0,
            output: Output::default(),
            problem: String::new(),
            next_start: None,
            well: None,
            former: String::new(),
            stop,
        }
    }

    /// Whom it serves, with what.
    fn role(&self) -> (&Name, Option<InstanceId>, &str) {
        (&self.want.service, self.want.instance, &self.want.process)
    }

    pub(super) fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// It was started for the `starts`th time.
    pub(super) fn starts(&mut self, starts: u32, address: Option<SocketAddr>, output: Output) {
        (self.state, self.address, self.output) = (ReplicaState::Starting, address, output);
        (self.starts, self.next_start) = (starts, None);
    }

    /// What the start before had come to.
    pub(super) fn had_failed(&mut self, former: String) {
        self.former = former;
    }

    /// It answers, or says that it is not ready.
    pub(super) fn is(&mut self, condition: Condition) {
        match condition {
            Condition::Well => {
                self.state = ReplicaState::Healthy;
                self.well.get_or_insert_with(Instant::now);
            }
            Condition::Unready(why) => (self.state, self.problem) = (ReplicaState::Unready, why),
        }
    }

    /// It has ended or is given up. Says since when it was well, if it was.
    pub(super) fn fails(&mut self, problem: String) -> Option<Instant> {
        (self.state, self.problem) = (ReplicaState::Failing, problem);
        self.well.take()
    }

    fn printed(&self) -> Printed {
        let DesiredReplica { replica, service, instance, process, index, .. } = self.want.clone();
        let (start, output) = (self.starts, self.output.clone());
        Printed { replica, service, instance, process, index, start, output }
    }

    /// It is started again then.
    pub(super) fn waits_until(&mut self, next: Timestamp, is_loop: bool) {
        self.next_start = Some(next);
        if is_loop {
            self.state = ReplicaState::CrashLoop;
        }
    }

    fn observe(&self) -> ObservedReplica {
        let log = match self.state {
            ReplicaState::Failing | ReplicaState::CrashLoop | ReplicaState::Unready => {
                self.output.tail_with(&self.problem)
            }
            _ if self.former.is_empty() => self.output.tail(),
            _ => self.output.tail_after(&self.former),
        };
        let report = ReplicaReport {
            replica: self.want.replica,
            digest: self.want.digest.clone(),
            service: self.want.service.clone(),
            process: self.want.process.clone(),
            instance: self.want.instance,
            address: self.address.map(|address| address.to_string()).unwrap_or_default(),
            state: self.state,
            starts: self.starts,
            next_start: self.next_start,
            log,
        };
        let stopping = *self.stop.borrow();
        ObservedReplica { report, generation: self.want.generation, stopping }
    }
}
