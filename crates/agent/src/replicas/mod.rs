//! The replicas on a node: each has a task that keeps it running, and a slot that says how it is.

mod board;
mod checks;
mod health;
mod keeper;
mod listener;
mod ports;
mod running;
mod starts;

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use api::releases::DesiredReplica;
use rustix::process::Pid;
use tokio::{sync::watch, task::JoinSet};

pub(crate) use board::Key;
pub(crate) use ports::Ports;

use crate::{
    Node,
    hold::{Found, Held, find},
    host::ObservedReplica,
    logs::Printed,
    machine,
    releases::{Ready, Releases},
};
use board::Board;
use keeper::Keeper;
use running::Running;
use starts::Start;

/// The replicas of a node.
pub(crate) struct Replicas {
    board: Arc<Board>,
    tasks: JoinSet<()>,
    memory: watch::Receiver<Memory>,
}

/// The bytes that what is below each process takes.
type Memory = Arc<HashMap<Pid, u64>>;

impl Replicas {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        let (sender, memory) = watch::channel(Memory::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(measure(sender, node.pace.look));
        Self { board: Board::new(node), tasks, memory }
    }

    /// Goes on with those that an earlier agent had started, once it is known how they are: whoever
    /// is told before that sends them no requests.
    pub(crate) async fn adopt(&mut self, releases: &Releases) {
        let node = Arc::clone(&self.board.node);
        let mut finding = JoinSet::new();
        for start in starts::all(&node.folder.replicas()) {
            finding.spawn(async move { (find(&start.folder).await, start) });
        }
        while let Some(found) = finding.join_next().await {
            match found {
                Ok((Found::Running(held, kept), start)) => self.go_on(held, &kept, start, releases),
                Ok((Found::Nothing, start)) => starts::remove(&start),
                // One that has ended says why, until it was started again.
                _ => {}
            }
        }
        let mut changes = node.changes.listen();
        let settled =
            async { while !self.board.is_settled() && changes.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(node.pace.answer + Duration::from_secs(1), settled).await;
    }

    fn go_on(&mut self, held: Held, kept: &str, start: Start, releases: &Releases) {
        let folder = start.folder.clone();
        let kept = serde_json::from_str(kept).map_err(io::Error::from);
        let running = kept.and_then(|kept| Running::found(&self.board.node, kept, held, start));
        let with_release = running.and_then(|running| {
            let ready = releases.ready(&running.want().digest);
            let gone = || io::Error::other("its release is not on this node");
            Ok((ready.ok_or_else(gone)?, running))
        });
        match with_release {
            Ok((ready, running)) => {
                let want = running.want().clone();
                let (service, replica) = (&want.service, want.replica);
                tracing::info!(%service, %replica, "a replica goes on");
                self.keep(want, ready, Some(running));
            }
            Err(cause) => {
                let folder = folder.display();
                tracing::warn!(%cause, %folder, "a replica of an earlier agent is left alone");
            }
        }
    }

    /// How all of them are.
    pub(crate) fn observe(&self) -> Vec<ObservedReplica> {
        self.board.observe()
    }

    /// What each prints.
    pub(crate) fn printed(&self) -> Vec<Printed> {
        self.board.printed()
    }

    /// Starts a replica, and keeps it running.
    pub(crate) fn start(&mut self, want: DesiredReplica, ready: Arc<Ready>) {
        self.keep(want, ready, None);
    }

    fn keep(&mut self, want: DesiredReplica, ready: Arc<Ready>, running: Option<Running>) {
        let Some(stop) = self.board.add(&want) else { return };
        let (board, memory) = (Arc::clone(&self.board), self.memory.clone());
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(Keeper::new(board, want, ready, stop, memory).keep(running));
        self.board.node.changes.tell();
    }

    /// Takes a replica out of service; it is stopped when that is known.
    pub(crate) fn stop(&self, replica: Key) {
        self.board.change(replica, |slot| slot.ask_to_stop());
    }

    /// Takes all of them out of service, stops them, and waits for it.
    pub(crate) async fn stop_all(mut self) {
        self.board.stop_all();
        // Without listeners the measuring ends too.
        let (_, nothing) = watch::channel(Memory::default());
        self.memory = nothing;
        while self.tasks.join_next().await.is_some() {}
    }

    /// Watches them no longer.
    pub(crate) async fn leave(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Measures as long as somebody listens.
async fn measure(sender: watch::Sender<Memory>, every: Duration) {
    let listened_to = async {
        loop {
            tokio::time::sleep(every).await;
            let seen = tokio::task::spawn_blocking(machine::memory_below).await;
            sender.send_replace(Arc::new(seen.unwrap_or_default()));
        }
    };
    tokio::select! {
        () = listened_to => {}
        () = sender.closed() => {}
    }
}
