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
    /// Since when it is well.
    well: Option<Instant>,
    /// The end of what it printed before it failed last, with the reason.
    former: String,
    /// Turns true when it is to be stopped.
    stop: watch::Sender<bool>,
}

impl Board {
    pub(crate) fn slots(&self) -> MutexGuard<'_, BTreeMap<Key, Slot>> {
        self.slots.lock().expect("nobody panics while holding it")
    }

    pub(crate) fn change(&self, replica: Key, change: impl FnOnce(&mut Slot)) {
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
        let key = (want.replica, want.generation);
        if slots.contains_key(&key) {
            return;
        }
        let (stop, stopping) = watch::channel(false);
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
        slots.insert(key, slot);
        drop(slots);
        let board = Arc::clone(&self.board);
        let keeper = Keeper { board, want, ready, stop: stopping, memory: self.memory.clone() };
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(keeper.keep());
        self.board.node.changes.tell();
    }

    /// Takes a replica out of service; it is stopped when that is known.
    pub(crate) fn stop(&self, replica: Key) {
        self.board.change(replica, |slot| slot.ask_to_stop());
    }

    /// Takes all of them out of service, stops them, and waits for it.
    pub(crate) async fn stop_all(mut self) {
        self.board.slots().values().for_each(Slot::ask_to_stop);
        // Without listeners the measuring ends too.
        let (_, nothing) = watch::channel(Memory::default());
        self.memory = nothing;
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Slot {
    fn ask_to_stop(&self) {
        self.stop.send_replace(true);
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
        let stopping = *self.stop.borrow();
        ObservedReplica { report, generation: self.want.generation, stopping }
    }
}
