//! The replicas on a node: each has a task that keeps it running, and a slot that says how it is.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use api::releases::{DesiredReplica, ReplicaReport, ReplicaState};
use rustix::process::Pid;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use types::ReplicaId;

use crate::{
    Node, host::ObservedReplica, machine, output::Output, releases::Ready, supervise::Keeper,
};

/// The replicas of a node.
pub(crate) struct Replicas {
    board: Arc<Board>,
    tasks: JoinSet<()>,
    memory: watch::Receiver<Memory>,
}

/// The bytes that each process group takes.
pub(crate) type Memory = Arc<HashMap<Pid, u64>>;

/// What the tasks tell of their replicas.
pub(crate) struct Board {
    pub(crate) node: Arc<Node>,
    slots: Mutex<BTreeMap<ReplicaId, Slot>>,
}

/// A replica, as it is now.
pub(crate) struct Slot {
    want: DesiredReplica,
    state: ReplicaState,
    address: Option<SocketAddr>,
    starts: u32,
    output: Output,
    /// Why it is not well.
    problem: String,
    /// Since when it is well.
    well: Option<Instant>,
    /// The end of what it printed before it failed last, with the reason.
    former: String,
    stop: watch::Sender<Stop>,
}

/// Whether a replica is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// It is not.
    No,
    /// When those who still send requests to it have heard that it goes.
    Drained,
    /// At once.
    Now,
}

impl Board {
    pub(crate) fn slots(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Slot>> {
        self.slots.lock().expect("nobody panics while holding it")
    }

    pub(crate) fn change(&self, replica: ReplicaId, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots().get_mut(&replica) {
            change(slot);
        }
        self.node.changes.tell();
    }
}

impl Replicas {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        let (sender, memory) = watch::channel(Memory::default());
        let mut tasks = JoinSet::new();
        let every = node.pace.look;
        tasks.spawn(async move {
            let listened_to = async {
                loop {
                    tokio::time::sleep(every).await;
                    let seen = tokio::task::spawn_blocking(machine::memory_by_group).await;
                    sender.send_replace(Arc::new(seen.unwrap_or_default()));
                }
            };
            tokio::select! {
                () = listened_to => {}
                () = sender.closed() => {}
            }
        });
        let board = Arc::new(Board { node, slots: Mutex::default() });
        Self { board, tasks, memory }
    }

    /// How all of them are.
    pub(crate) fn observe(&self) -> Vec<ObservedReplica> {
        self.board.slots().values().map(Slot::observe).collect()
    }

    /// Starts a replica, and keeps it running.
    pub(crate) fn start(&mut self, want: DesiredReplica, ready: Arc<Ready>) {
        let mut slots = self.board.slots();
        if slots.contains_key(&want.replica) {
            return;
        }
        let (stop, stopping) = watch::channel(Stop::No);
        let slot = Slot {
            want: want.clone(),
            state: ReplicaState::Starting,
            address: None,
            starts: 0,
            output: Output::default(),
            problem: String::new(),
            well: None,
            former: String::new(),
            stop,
        };
        slots.insert(want.replica, slot);
        drop(slots);
        let board = Arc::clone(&self.board);
        let keeper = Keeper { board, want, ready, stop: stopping, memory: self.memory.clone() };
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(keeper.keep());
        self.board.node.changes.tell();
    }

    /// Takes a replica out of service; it is stopped when that is known.
    pub(crate) fn stop(&self, replica: ReplicaId) {
        self.board.change(replica, |slot| slot.ask(Stop::Drained));
    }

    /// Stops all of them at once, and waits for it.
    pub(crate) async fn stop_all(mut self) {
        self.board.slots().values().for_each(|slot| slot.ask(Stop::Now));
        // Without listeners the measuring ends too.
        let (_, nothing) = watch::channel(Memory::default());
        self.memory = nothing;
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Slot {
    fn ask(&self, stop: Stop) {
        self.stop.send_modify(|asked| *asked = stop.max(*asked));
    }

    /// It is started once more.
    pub(crate) fn starts(&mut self, address: SocketAddr, output: Output) {
        (self.state, self.address, self.output) = (ReplicaState::Starting, Some(address), output);
        self.starts = self.starts.saturating_add(1);
    }

    /// It answers.
    pub(crate) fn is_well(&mut self) {
        (self.state, self.well) = (ReplicaState::Healthy, Some(Instant::now()));
    }

    /// It has ended or is given up. Says since when it was well, if it was.
    pub(crate) fn fails(&mut self, problem: String) -> Option<Instant> {
        self.former = self.output.tail_with(&problem);
        (self.state, self.problem) = (ReplicaState::Failing, problem);
        self.well.take()
    }

    fn observe(&self) -> ObservedReplica {
        let log = match self.state {
            ReplicaState::Failing => self.output.tail_with(&self.problem),
            _ if self.former.is_empty() => self.output.tail(),
            _ => self.output.tail_after(&self.former),
        };
        let report = ReplicaReport {
            replica: self.want.replica,
            digest: self.want.digest.clone(),
            service: self.want.service.clone(),
            instance: self.want.instance,
            address: self.address.map(|address| address.to_string()).unwrap_or_default(),
            state: self.state,
            starts: self.starts,
            log,
        };
        let stopping = *self.stop.borrow() != Stop::No;
        ObservedReplica { report, generation: self.want.generation, stopping }
    }
}
