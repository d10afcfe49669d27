//! Keeps one replica running: started, watched, and started again with growing pauses whenever it
//! ends, stops answering or takes too much.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::{manifest::Check, releases::DesiredReplica};
use rustix::process::Pid;
use tokio::{sync::watch, time::Instant};

use super::{
    Memory,
    board::{Board, Key, Slot},
    health::Question,
    listener::{Listener, Listening, elsewhere},
    running::{self, Running},
    starts,
};
use crate::{Node, hold, releases::Ready};

/// A replica is unwell when it has not answered as often, one look after the other.
const MISSED_MAX: u32 = 3;

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
            let mut well = None;
            self.change(|slot| well = slot.fails(problem));
            starts::forget(&folder, 1);
            // What was well for longer than a start may take is forgiven; what never was is not.
            if well.is_some_and(|since| since.elapsed() > self.node().pace.start) {
                pauses.reset();
            }
            let pause = tokio::time::sleep(pauses.take());
            tokio::select! {
                () = pause => {}
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

    /// Runs it once: returns when it was stopped because that was asked, or with what went wrong.
    async fn run(&mut self, running: Option<Running>) -> Result<(), String> {
        let mut stop = self.stop.clone();
        let node = Arc::clone(&self.board.node);
        // What an earlier agent left and still runs has lasted.
        let last = if running.is_some() { Duration::ZERO } else { node.pace.last };
        let mut running = if let Some(running) = running {
            running
        } else {
            let preparing = running::prepare(&node, &self.want, &self.ready.manifest);
            let prepared = tokio::select! {
                prepared = preparing => prepared?,
                () = asked(&mut stop) => return Ok(()),
            };
            // It is not left half begun.
            prepared.start(&node, &self.ready).await?
        };
        self.recall(&running);
        self.change(|slot| slot.starts(running.starts(), running.address(), running.output()));
        let outcome = self.watch(&node, &mut running, &mut stop, last).await;
        if outcome.is_ok() {
            tokio::select! {
                () = tokio::time::sleep(node.pace.drain) => {}
                _ = running.held.ended() => {}
            }
        }
        let why = outcome.as_ref().err().map_or("was stopped", String::as_str);
        running.held.end(node.pace.grace, why).await;
        outcome
    }

    /// Watches it until it is to be stopped, or something is wrong with it.
    async fn watch(
        &self,
        node: &Node,
        running: &mut Running,
        stop: &mut watch::Receiver<bool>,
        last: Duration,
    ) -> Result<(), String> {
        let holder = running.held.holder();
        let process = self.ready.manifest.process(&self.want.process);
        let asked_for = process.and_then(|process| process.health.clone()).zip(running.address());
        let asking = asked_for.map(|(Check::Path(path), address)| {
            let question = Question { address, path, site: running.site() };
            (Listener::new(address, holder), question)
        });
        tokio::select! {
            () = asked(stop) => Ok(()),
            exit = running.held.ended() => {
                Err(format!("{}{}", exit.in_words(), node.folder.remark()))
            }
            problem = self.keep_well(asking, last) => Err(problem),
            problem = self.keep_within_memory(holder) => Err(problem),
            () = running::keep_token(running.token.as_mut(), node) => Ok(()),
        }
    }

    /// Returns, with what happened, when it is not well any more. What is asked nothing is well when
    /// it has lasted for a while, and until it ends.
    async fn keep_well(&self, asking: Option<(Listener, Question)>, last: Duration) -> String {
        if let Some((listener, question)) = asking {
            return self.keep_answering(listener, question).await;
        }
        tokio::time::sleep(last).await;
        self.change(Slot::is_well);
        std::future::pending().await
    }

    /// Returns, with what happened, when it does not answer its health check any more, or when
    /// somebody else listens where it should.
    async fn keep_answering(&self, mut listener: Listener, question: Question) -> String {
        let (pace, path) = (self.node().pace, &question.path);
        let began = Instant::now();
        let mut wait = pace.look / 100;
        loop {
            match self.look(&mut listener, &question).await {
                Look::Well => break,
                Look::Taken => return taken(listener.address),
                Look::Unwell(why) if began.elapsed() > pace.start => {
                    let problem = format!("did not answer `GET {path}` in {:?}: {why}", pace.start);
                    return self.with_place(problem, &listener).await;
                }
                Look::Unwell(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(pace.look / 4);
        }
        self.change(Slot::is_well);
        let mut missed = 0;
        loop {
            tokio::time::sleep(pace.look).await;
            match self.look(&mut listener, &question).await {
                Look::Well => missed = 0,
                Look::Taken => return taken(listener.address),
                Look::Unwell(why) => {
                    missed += 1;
                    if missed == MISSED_MAX {
                        return format!("stopped answering `GET {path}`: {why}");
                    }
                }
            }
        }
    }

    /// Says where a replica listens that does not listen where it should.
    async fn with_place(&self, problem: String, listener: &Listener) -> String {
        let address = listener.address;
        match elsewhere(listener.holder, &self.node().surveys).await {
            Some(place) if place != address.to_string() => format!(
                "{problem}; it listens at {place} and should at {address}, as `HOST` and `PORT` say"
            ),
            _ => problem,
        }
    }

    /// Asks it how it is. An answer counts only if it was the replica's own.
    async fn look(&self, listener: &mut Listener, question: &Question) -> Look {
        let node = self.node();
        let answer = question.ask(node.pace.answer).await;
        match (listener.look(&node.surveys).await, answer) {
            (Ok(Listening::Other), _) => Look::Taken,
            (Ok(Listening::Replica), Ok(())) => Look::Well,
            (Ok(_), Err(why)) => Look::Unwell(why),
            (Ok(Listening::Nobody), Ok(())) => Look::Unwell("nobody listens any more".into()),
            (Err(cause), _) => Look::Unwell(format!("who listens cannot be told: {cause}")),
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

/// How a replica was found.
enum Look {
    Well,
    Unwell(String),
    /// Somebody else listens at its address.
    Taken,
}

fn taken(address: SocketAddr) -> String {
    format!("another process listens at {address}; it is started again at another port")
}

async fn asked(stop: &mut watch::Receiver<bool>) {
    // Whoever could have asked being gone asks too.
    let _ = stop.wait_for(|asked| *asked).await;
}
