//! Keeps one replica running: started, watched, and started again with growing pauses whenever it
//! ends, stops answering or takes too much.

use std::{net::SocketAddr, sync::Arc};

use api::releases::DesiredReplica;
use http::Uri;
use rustix::process::Pid;
use tokio::{sync::watch, time::Instant};
use types::Secret;

use crate::{
    Node,
    environment::{self, TokenFile, Variables},
    folder::Scratch,
    health::Question,
    listener::{Listener, Listening},
    output::{Output, remove_log},
    process::{Launch, Process, in_words},
    releases::Ready,
    replicas::{Board, Key, Memory, Slot},
};

/// A replica is unwell when it has not answered as often, one look after the other.
const MISSED_MAX: u32 = 3;

/// Keeps one replica running.
pub(crate) struct Keeper {
    pub(crate) board: Arc<Board>,
    pub(crate) want: DesiredReplica,
    pub(crate) ready: Arc<Ready>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) memory: watch::Receiver<Memory>,
}

impl Keeper {
    fn node(&self) -> &Node {
        &self.board.node
    }

    fn key(&self) -> Key {
        (self.want.replica, self.want.generation)
    }

    fn change(&self, change: impl FnOnce(&mut Slot)) {
        self.board.change(self.key(), change);
    }

    /// Keeps it running until it is asked to stop.
    pub(crate) async fn keep(mut self) {
        let mut pauses = self.node().pace.pauses();
        let mut stop = self.stop.clone();
        loop {
            let Err(problem) = self.run().await else { break };
            let (service, replica) = (&self.want.service, self.want.replica);
            tracing::warn!(%service, %replica, problem, "a replica will be started again");
            let mut well = None;
            self.change(|slot| well = slot.fails(problem));
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
        self.board.slots().remove(&self.key());
        // What stays is removed by the next start.
        let _ = remove_log(&self.node().folder.replica_log(self.key()));
        self.board.node.changes.tell();
    }

    /// Runs it once: returns when it was stopped because that was asked, or with what went wrong.
    async fn run(&mut self) -> Result<(), String> {
        let mut stop = self.stop.clone();
        let node = Arc::clone(&self.board.node);
        let unstorable =
            |cause: std::io::Error| format!("the node cannot store its files: {cause}");
        let scratch = Scratch::new(node.folder.replica(self.key())).map_err(unstorable)?;
        // Dropped after the process: the port is its own until it has ended.
        let port = node.ports.take().map_err(|cause| format!("no port can be had: {cause}"))?;
        let address = port.address();
        let mut started = tokio::select! {
            started = self.start(&node, &scratch, address) => started?,
            () = asked(&mut stop) => return Ok(()),
        };
        let process = &mut started.process;
        let (group, listener) = (process.group(), Listener::new(address, process.family()));
        let (path, site) = (self.ready.manifest.run.health.clone(), started.site);
        let question = Question { address, path, site };
        let outcome = tokio::select! {
            () = asked(&mut stop) => Ok(()),
            status = process.ended() => Err(in_words(status)),
            problem = self.keep_answering(listener, question) => Err(problem),
            problem = self.keep_within_memory(group) => Err(problem),
            () = keep_token(started.token.as_mut(), &node) => Ok(()),
        };
        if outcome.is_ok() {
            tokio::select! {
                () = tokio::time::sleep(node.pace.drain) => {}
                _ = process.ended() => {}
            }
        }
        started.process.stop(node.pace.grace).await;
        outcome
    }

    async fn start(
        &self,
        node: &Node,
        scratch: &Scratch,
        address: SocketAddr,
    ) -> Result<Started, String> {
        let manifest = &self.ready.manifest;
        let unstorable =
            |cause: std::io::Error| format!("the node cannot store its files: {cause}");
        let basis = environment::basis(scratch.path()).map_err(unstorable)?;
        let (mut variables, secrets, token) = self.own_variables(node, scratch).await?;
        variables.extend(basis);
        if let Some(instance) = self.want.instance {
            variables.extend(environment::home_of(node, instance).map_err(unstorable)?);
        }
        variables.extend(environment::of_address(address));
        let site = environment::site(&variables);
        let output = Output::hiding(secrets);
        self.change(|slot| slot.starts(address, output.clone()));
        let launch = Launch {
            command: &manifest.run.command,
            folder: &self.ready.folder,
            variables,
            log: node.folder.replica_log(self.key()),
            remembered: node.folder.processes(),
            surveys: node.surveys.clone(),
        };
        let process = Process::launch(launch, &output).await;
        let process = process.map_err(|cause| format!("it cannot be started: {cause}"))?;
        Ok(Started { process, site, token })
    }

    async fn own_variables(
        &self,
        node: &Node,
        scratch: &Scratch,
    ) -> Result<(Variables, Vec<Secret>, Option<TokenFile>), String> {
        if let Some(instance) = self.want.instance {
            let manifest = &self.ready.manifest;
            let of_instance = environment::of_instance(node, instance, manifest).await;
            let (variables, secrets) = of_instance
                .map_err(|problem| format!("its environment cannot be had: {problem}"))?;
            return Ok((variables, secrets, None));
        }
        let service = self.want.service.clone();
        let token = TokenFile::new(node, service, scratch.path()).await?;
        Ok((token.variables(node), Vec::new(), Some(token)))
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
                    return format!("did not answer `GET {path}` in {:?}: {why}", pace.start);
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

    /// Returns when it takes more memory than its instance's size has; a process for all instances
    /// is not limited.
    async fn keep_within_memory(&self, group: Pid) -> String {
        let size = self.want.size.as_ref().and_then(|name| self.ready.manifest.sizes.get(name));
        let most = size.map_or(u64::MAX, |size| size.memory);
        let mut memory = self.memory.clone();
        let used = |memory: &Memory| memory.get(&group).copied().unwrap_or_default();
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

struct Started {
    process: Process,
    /// Where its visitors come.
    site: Uri,
    token: Option<TokenFile>,
}

async fn keep_token(token: Option<&mut TokenFile>, node: &Node) {
    match token {
        Some(token) => token.keep(node).await,
        None => std::future::pending().await,
    }
}

async fn asked(stop: &mut watch::Receiver<bool>) {
    // Whoever could have asked being gone asks too.
    let _ = stop.wait_for(|asked| *asked).await;
}
