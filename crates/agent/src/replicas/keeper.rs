//! Keeps one replica running: started, watched, and started again with growing pauses whenever it
//! ends, stops answering or takes too much.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::{manifest::Process, releases::DesiredReplica};
use rustix::process::Pid;
use tokio::sync::watch;

use super::{
    Memory,
    board::{Board, Key, Slot},
    checks::Checks,
    running::{self, Prepared, Running},
    starts,
};
use crate::{Node, hold, machine, releases::Ready};

/// Keeps one replica running.
pub(super) struct Keeper {
    board: Arc<Board>,
    want: DesiredReplica,
    ready: Arc<Ready>,
    stop: watch::Receiver<bool>,
    memory: watch::Receiver<Memory>,
}

impl Keeper {
    pub(super) fn new(
        board: Arc<Board>,
        want: DesiredReplica,
        ready: Arc<Ready>,
        stop: watch::Receiver<bool>,
        memory: watch::Receiver<Memory>,
    ) -> Self {
        Self { board, want, ready, stop, memory }
    }

    fn node(&self) -> &Node {
        &self.board.node
    }

    fn key(&self) -> Key {
        (self.want.replica, self.want.generation)
    }

    fn change(&self, change: impl FnOnce(&mut Slot)) {
        self.board.change(self.key(), change);
    }

    /// Keeps it running until it is asked to stop; at first perhaps one that runs already.
    pub(super) async fn keep(mut self, mut running: Option<Running>) {
        let mut pauses = self.node().pace.pauses();
        let mut stop = self.stop.clone();
        let folder = self.node().folder.replica(self.key());
        while let Err(problem) = self.run(running.take()).await {
            let (service, replica) = (&self.want.service, self.want.replica);
            tracing::warn!(%service, %replica, problem, "a replica will be started again");
            starts::forget(&folder, 1);
            let node = Arc::clone(&self.board.node);
            let mut pause = Duration::ZERO;
            self.change(|slot| {
                // What was well for longer than a start may take is forgiven; what never was is not.
                if slot.fails(problem).is_some_and(|since| since.elapsed() > node.pace.start) {
                    pauses.reset();
                }
                pause = pauses.take();
                slot.waits_until(node.clock.now().plus(pause), pauses.are_long());
            });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = asked(&mut stop) => break,
            }
        }
        starts::forget(&folder, 0);
        self.board.remove(self.key());
    }

    /// What the start before came to, also under an earlier agent, is told beside what comes now.
    fn recall(&self, running: &Running) {
        let starts = starts::of(&self.node().folder.replica(self.key()));
        let mut ended = starts.iter().filter_map(|start| Some((start, hold::exit(&start.folder)?)));
        if let Some((start, exit)) = ended.next_back() {
            let output = hold::Output::hiding(start.folder.join(hold::LOG), running.secrets());
            self.change(|slot| slot.had_failed(output.tail_with(&exit.in_words())));
        }
    }

    fn process(&self) -> Result<&Process, String> {
        let name = &self.want.process;
        let process = self.ready.manifest.process(name);
        process.ok_or_else(|| format!("its release has no process `{name}`"))
    }

    /// Gets what it needs, and runs what is to be run before it.
    async fn prepare(&self, node: &Node) -> Result<Prepared, String> {
        let process = self.process()?;
        let prepared = running::prepare(node, &self.want, process, &self.ready).await?;
        let Some(command) = &process.pre_start else { return Ok(prepared) };
        self.change(|slot| slot.starts(prepared.number(), None, prepared.output()));
        prepared.pre_start(node, &self.ready, command).await
    }

    /// Runs it once: returns when it was stopped because that was asked, or with what went wrong.
    async fn run(&mut self, running: Option<Running>) -> Result<(), String> {
        let mut stop = self.stop.clone();
        let node = Arc::clone(&self.board.node);
        // What an earlier agent left and still runs has lasted.
        let last = if running.is_some() { Duration::ZERO } else { node.pace.last };
        let mut running = if let Some(running) = running {
            running
        } else {
            let prepared = tokio::select! {
                prepared = self.prepare(&node) => prepared?,
                () = asked(&mut stop) => return Ok(()),
            };
            // It is not left half begun.
            let command = prepared.command(&node, &self.ready, self.process()?)?;
            prepared.start(&node, &self.ready, &command).await?
        };
        self.recall(&running);
        self.change(|slot| slot.starts(running.starts(), running.address(), running.output()));
        let outcome = self.watch(&node, &mut running, &mut stop, last).await;
        if outcome.is_ok() {
            let address = running.address();
            tokio::select! {
                () = self.drain(address) => {}
                _ = running.held.ended() => {}
            }
        }
        let why = outcome.as_ref().err().map_or("was stopped", String::as_str);
        running.held.end(node.pace.grace, why).await;
        outcome
    }

    /// Waits until it is known that it takes no new requests, and if another has taken over from it until
    /// nobody is connected any more, for as long as its manifest says.
    async fn drain(&self, address: Option<SocketAddr>) {
        let pause = self.node().pace.drain;
        tokio::time::sleep(pause).await;
        let (Some(address), Ok(process)) = (address, self.process()) else { return };
        if !self.board.is_replaced(self.key()) {
            return;
        }
        let port = address.port();
        let is_used = move || machine::is_connected_to(port);
        let left = async {
            while tokio::task::spawn_blocking(is_used).await.unwrap_or_default() {
                tokio::time::sleep(pause).await;
            }
        };
        let most = Duration::from_secs(process.drain_seconds.into()).saturating_sub(pause);
        if tokio::time::timeout(most, left).await.is_err() {
            let (service, replica) = (&self.want.service, self.want.replica);
            tracing::info!(%service, %replica, "it is stopped under those who are still connected");
        }
    }

    /// Watches it until it is to be stopped, or something is wrong with it.
    async fn watch(
        &self,
        node: &Node,
        running: &mut Running,
        stop: &mut watch::Receiver<bool>,
        last: Duration,
    ) -> Result<(), String> {
        let process = self.process()?;
        let checks = Checks::new(process, running, &self.ready, last);
        let holder = running.held.holder();
        let tell = |condition| self.change(|slot| slot.is(condition));
        tokio::select! {
            () = asked(stop) => Ok(()),
            exit = running.held.ended() => {
                Err(format!("{}{}", exit.in_words(), node.folder.remark()))
            }
            problem = checks.keep(node, tell) => Err(problem),
            problem = self.keep_within_memory(holder) => Err(problem),
            () = running::keep_token(running.token.as_mut(), node) => Ok(()),
        }
    }

    /// Returns when all of it takes more memory than its instance's size has; a process for all
    /// instances is not limited.
    async fn keep_within_memory(&self, holder: Pid) -> String {
        let size = self.want.size.as_ref().and_then(|name| self.ready.manifest.sizes.get(name));
        let most = size.map_or(u64::MAX, |size| size.memory);
        let mut memory = self.memory.clone();
        let used = |memory: &Memory| memory.get(&holder).copied().unwrap_or_default();
        let exceeding = memory.wait_for(|memory| used(memory) > most).await;
        let used = exceeding.map(|memory| used(&memory));
        match used {
            Ok(used) => {
                let (used, most) = (used >> 20, most >> 20);
                format!("used {used} MiB of memory and may use {most}: take a larger size")
            }
            Err(_) => std::future::pending().await,
        }
    }
}

async fn asked(stop: &mut watch::Receiver<bool>) {
    // Whoever could have asked being gone asks too.
    let _ = stop.wait_for(|asked| *asked).await;
}
