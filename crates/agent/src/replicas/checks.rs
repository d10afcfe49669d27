//! Whether a replica is ready, and whether it is alive. What is not ready is sent no requests; what
//! is not alive is started again. Who says only one of both means both.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use api::manifest::{Check, Process};
use tokio::time::Instant;

use super::{
    health::{Command, Question},
    listener::{Listener, Listening, elsewhere},
    running::Running,
};
use crate::{Node, releases::Ready};

/// A replica is unwell when it has not answered as often, one look after the other.
const MISSED_MAX: u32 = 3;

/// How a replica is to be shown.
pub(super) enum Condition {
    Well,
    /// It is left alone, and why.
    Unready(String),
}

/// What a replica is asked as long as it runs.
pub(super) struct Checks {
    ready: Option<Probe>,
    live: Option<Probe>,
    /// How long it must have run to be ready if it is not asked.
    last: Duration,
}

impl Checks {
    pub(super) fn new(
        process: &Process,
        running: &Running,
        release: &Arc<Ready>,
        last: Duration,
    ) -> Self {
        let probe = |check: &Option<Check>, name| {
            Probe::new(check.as_ref()?, running, release, running.folder().join(name))
        };
        Self { ready: probe(&process.health, "ready"), live: probe(&process.live, "live"), last }
    }

    /// Says how it is whenever that changes; returns, with what happened, when it is to be started
    /// again.
    pub(super) async fn keep(self, node: &Node, tell: impl Fn(Condition)) -> String {
        let Self { ready, live, last } = self;
        let is_left_alone = live.is_some();
        let alive = async {
            let Some(mut probe) = live else { return std::future::pending().await };
            match probe.begin(node).await {
                Ok(()) => probe.go_on(node).await.what,
                Err(trouble) => trouble.what,
            }
        };
        let well = async {
            let Some(mut probe) = ready else {
                tokio::time::sleep(last).await;
                tell(Condition::Well);
                return std::future::pending().await;
            };
            loop {
                let trouble = match probe.begin(node).await {
                    Ok(()) => {
                        tell(Condition::Well);
                        probe.go_on(node).await
                    }
                    Err(trouble) => trouble,
                };
                if !is_left_alone || trouble.is_taken {
                    return trouble.what;
                }
                tell(Condition::Unready(trouble.what));
            }
        };
        tokio::select! {
            problem = alive => problem,
            problem = well => problem,
        }
    }
}

/// One question, asked again and again.
struct Probe {
    question: Question,
    /// Who listens where the question goes.
    listener: Option<Listener>,
    /// The question in words.
    shown: String,
}

/// How a replica was found.
enum Look {
    Well,
    Unwell(String),
    /// Somebody else listens at its address.
    Taken(SocketAddr),
}

/// Why a replica is not well.
struct Trouble {
    what: String,
    /// Somebody else listens at its address.
    is_taken: bool,
}

impl Probe {
    /// `None` if the replica has no address to be asked at.
    fn new(
        check: &Check,
        running: &Running,
        release: &Arc<Ready>,
        folder: PathBuf,
    ) -> Option<Self> {
        let question = match check {
            Check::Path(path) => {
                let (path, site) = (path.clone(), running.site());
                Question::Visit { address: running.address()?, path, site }
            }
            Check::Request { http, host } => {
                let (path, site) = (http.clone(), format!("http://{host}/").parse().ok()?);
                Question::Visit { address: running.address()?, path, site }
            }
            Check::Connection { .. } => Question::Knock(running.address()?),
            Check::Command { command } => Question::Command(Box::new(Command {
                words: command.clone(),
                variables: running.variables().clone(),
                user: running.user(),
                ready: Arc::clone(release),
                folder,
            })),
        };
        let listener = question.address().map(|at| Listener::new(at, running.held.holder()));
        Some(Self { question, listener, shown: check.to_string() })
    }

    /// Returns when it is well, or has taken longer than a start may.
    async fn begin(&mut self, node: &Node) -> Result<(), Trouble> {
        let (pace, began) = (node.pace, Instant::now());
        let mut wait = pace.look / 100;
        loop {
            match self.look(node).await {
                Look::Well => return Ok(()),
                Look::Taken(address) => return Err(taken(address)),
                Look::Unwell(why) if began.elapsed() > pace.start => {
                    let what = format!("did not answer {} in {:?}: {why}", self.shown, pace.start);
                    let what = self.with_place(what, node).await;
                    return Err(Trouble { what, is_taken: false });
                }
                Look::Unwell(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.question.every(pace.look) / 4);
        }
    }

    /// Returns, with what happened, when it is not well any more.
    async fn go_on(&mut self, node: &Node) -> Trouble {
        let every = self.question.every(node.pace.look);
        let mut missed = 0;
        loop {
            tokio::time::sleep(every).await;
            match self.look(node).await {
                Look::Well => missed = 0,
                Look::Taken(address) => return taken(address),
                Look::Unwell(why) => {
                    missed += 1;
                    if missed == MISSED_MAX {
                        let what = format!("stopped answering {}: {why}", self.shown);
                        return Trouble { what, is_taken: false };
                    }
                }
            }
        }
    }

    /// Asks it how it is. An answer counts only if it was the replica's own.
    async fn look(&mut self, node: &Node) -> Look {
        let answer = self.question.ask(node).await;
        let Some(listener) = &mut self.listener else {
            return answer.map_or_else(Look::Unwell, |()| Look::Well);
        };
        match (listener.look(&node.surveys).await, answer) {
            (Ok(Listening::Other), _) => Look::Taken(listener.address),
            (Ok(Listening::Replica), Ok(())) => Look::Well,
            (Ok(_), Err(why)) => Look::Unwell(why),
            (Ok(Listening::Nobody), Ok(())) => Look::Unwell("nobody listens any more".into()),
            (Err(cause), _) => Look::Unwell(format!("who listens cannot be told: {cause}")),
        }
    }

    /// Says where a replica listens that does not listen where it should.
    async fn with_place(&self, problem: String, node: &Node) -> String {
        let Some(Listener { address, holder, .. }) = &self.listener else { return problem };
        match elsewhere(*holder, &node.surveys).await {
            Some(place) if place != address.to_string() => format!(
                "{problem}; it listens at {place} and should at {address}, as `HOST` and `PORT` say"
            ),
            _ => problem,
        }
    }
}

fn taken(address: SocketAddr) -> Trouble {
    let what = format!("another process listens at {address}; it is started again at another port");
    Trouble { what, is_taken: true }
}
