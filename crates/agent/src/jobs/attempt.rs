//! One attempt at a job: begun or found again, watched, and told of until the platform knows how it
//! ended.

use std::{path::Path, sync::Arc, time::Duration};

use api::{
    Kind, Problem,
    jobs::{COMMAND_JOB, Lease, Outcome, Progress, Report, Verdict},
};
use serde_json::{Value, json};
use tokio::sync::watch;
use types::JobId;

use super::{
    command::{Prepared, Refusal, Work, prepare, secrets},
    place::{self, Left},
    reports::Reports,
    says,
};
use crate::{
    Node,
    hold::{Exit, Found, LOG, Moment, Output, now},
    releases::Releases,
    stopped,
};

/// How long the platform may take to hear of jobs that are given back when the node goes.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a command may take to end whose job may be another node's already.
const HASTE: Duration = Duration::from_secs(1);

/// An attempt at a job.
pub(super) struct Attempt {
    node: Arc<Node>,
    reports: Arc<Reports>,
    lease: Lease,
    /// Since when its lease holds.
    since: Moment,
}

/// How a command of a job came to its end.
enum End {
    /// By itself, or by its holder at its limit.
    Exit(Exit),
    /// It was stopped, since that was asked for.
    Stopped(Outcome, &'static str),
    /// The job is not this node's any more.
    Lost,
    /// It goes on, and the next agent with it.
    Left,
}

/// What is told last of an attempt.
struct Done {
    outcome: Outcome,
    problem: Option<String>,
    result: Option<Value>,
    output: String,
}

impl Attempt {
    /// A job for which somebody asked at that moment.
    pub(super) fn new(node: Arc<Node>, reports: Arc<Reports>, lease: Lease, asked: Moment) -> Self {
        // The platform may have waited before it gave it, but the answer is believed to be fresh.
        let fresh = now().saturating_sub(u64::from(lease.lease_seconds) * 1_000 / 5);
        Self { node, reports, lease, since: asked.max(fresh) }
    }

    /// A job that an earlier agent had begun: whether it is still this node's is asked at once.
    pub(super) fn again(node: Arc<Node>, reports: Arc<Reports>, lease: Lease) -> Self {
        Self { node, reports, lease, since: 0 }
    }

    pub(super) fn job(&self) -> JobId {
        self.lease.job
    }

    /// A third of the time for which a lease holds, in milliseconds.
    fn third(&self) -> u64 {
        u64::from(self.lease.lease_seconds) * 1_000 / 3
    }

    /// When the command must be gone: a little before another node may begin it.
    fn deadline(&self, since: Moment) -> Moment {
        since + u64::from(self.lease.lease_seconds) * 950
    }

    /// Does it.
    pub(super) async fn carry_out(self, releases: &Releases, mut stopping: watch::Receiver<bool>) {
        let (job, name) = (self.job(), &self.lease.name);
        tracing::info!(%job, name, attempt = self.lease.attempt, "a job begins");
        let prepared = tokio::select! {
            prepared = prepare(&self.node, releases, &self.lease) => prepared,
            () = stopped(&mut stopping) => Err((Outcome::Lost, "the node stops".to_owned())),
        };
        let begun = match prepared {
            Ok(prepared) => self.begin(prepared, &mut stopping).await,
            Err(refusal) => Err(Some(refusal)),
        };
        match begun {
            Ok(work) => self.see_through(work, stopping).await,
            Err(Some((outcome, problem))) => {
                let problem = Some(problem);
                let done = Done { outcome, problem, result: None, output: String::new() };
                self.tell_end(done, &mut stopping).await;
            }
            Err(None) => tracing::warn!(%job, name, "the job's lease is lost; it was stopped"),
        }
    }

    /// Upgrades the payload if need be, and starts the command. `None` as the reason means that the
    /// job is not this node's any more.
    async fn begin(
        &self,
        prepared: Prepared,
        stopping: &mut watch::Receiver<bool>,
    ) -> Result<Work, Option<Refusal>> {
        let mut since = self.since;
        if let Some(upgrade) = &self.lease.upgrade {
            let deadline = self.deadline(since);
            let work = prepared.upgrade(&self.node, upgrade, deadline).await?;
            let failed = match self.watch(&work, stopping).await {
                End::Exit(exit) if exit.is_lease_lost() => return Err(None),
                End::Exit(exit) if exit.is_success() => None,
                End::Exit(exit) => {
                    let why = format!("the upgrade of its payload {}", exit.in_words());
                    Some((says::outcome(&exit), why))
                }
                End::Stopped(outcome, why) => Some((outcome, format!("the upgrade {why}"))),
                End::Lost => return Err(None),
                End::Left => Some((Outcome::Lost, "the node's agent was stopped".to_owned())),
            };
            if let Some(refusal) = failed {
                return Err(Some(refusal));
            }
            prepared.upgraded()?;
            // The upgrade may have taken long; only a renewal says that the lease still holds.
            since = now();
            let running = self.report(Outcome::Running);
            match self.reports.tell(running).await {
                Ok(Verdict::Kept) => {}
                Ok(Verdict::Stop) => {
                    let why = "it was cancelled before its command began".to_owned();
                    return Err(Some((Outcome::Cancelled, why)));
                }
                _ => return Err(None),
            }
        }
        Ok(prepared.start(&self.node, &self.lease, self.deadline(since)).await?)
    }

    /// Goes on with what an earlier agent had begun.
    pub(super) async fn go_on(
        self,
        releases: &Releases,
        left: Left,
        mut stopping: watch::Receiver<bool>,
    ) {
        let (folder, log) = (left.folder.clone(), left.folder.join(LOG));
        let ready = releases.ready(&self.lease.release);
        match left.found {
            Found::Running(held, kept) => {
                let output = Output::hiding(log, serde_json::from_str(&kept).unwrap_or_default());
                self.see_through(Work { held, folder, output, _ready: ready }, stopping).await;
            }
            Found::Ended(exit) => {
                // What must not be shown of its output is known to the platform alone by now.
                let secrets = secrets(&self.node, &self.lease, ready.as_deref()).await;
                let output = secrets.map(|secrets| Output::hiding(log, secrets));
                let output = output.unwrap_or_default();
                self.end(&folder, End::Exit(exit), &output, &mut stopping).await;
            }
            Found::Strange | Found::Nothing => {}
        }
    }

    async fn see_through(&self, work: Work, mut stopping: watch::Receiver<bool>) {
        let end = self.watch(&work, &mut stopping).await;
        self.end(&work.folder, end, &work.output, &mut stopping).await;
    }

    /// Watches a command until it has ended, or goes on without this agent.
    async fn watch(&self, work: &Work, stopping: &mut watch::Receiver<bool>) -> End {
        let (held, grace) = (&work.held, self.node.pace.grace);
        tokio::select! {
            exit = held.ended() => End::Exit(exit),
            verdict = self.keep_lease(work) => {
                if verdict != Verdict::Stop {
                    held.end(grace.min(HASTE), Exit::LEASE_LOST).await;
                    return End::Lost;
                }
                let why = "was cancelled";
                let exit = held.end(grace, why).await;
                // It may have ended by itself that moment.
                match exit.why {
                    None => End::Exit(exit),
                    Some(_) => End::Stopped(Outcome::Cancelled, why),
                }
            }
            () = stopped(stopping) => {
                if !self.node.ends_all {
                    // The next agent has the time of a whole lease to be there.
                    let _ = tokio::time::timeout(FAREWELL, self.renew(work)).await;
                    return End::Left;
                }
                let why = "was stopped, since the node stops";
                held.end(grace, why).await;
                End::Stopped(Outcome::Lost, why)
            }
        }
    }

    async fn end(
        &self,
        folder: &Path,
        end: End,
        output: &Output,
        stopping: &mut watch::Receiver<bool>,
    ) {
        let (job, name) = (self.job(), &self.lease.name);
        let status = match &end {
            End::Exit(exit) if name == COMMAND_JOB && exit.why.is_none() => exit.status,
            _ => None,
        };
        let (outcome, why) = match end {
            End::Left => return,
            End::Exit(exit) if exit.is_lease_lost() => (None, exit.in_words()),
            End::Lost => (None, String::new()),
            End::Exit(exit) => {
                let why = format!("{}{}", exit.in_words(), self.node.folder.remark());
                (Some(says::outcome(&exit)), why)
            }
            End::Stopped(outcome, why) => (Some(outcome), why.to_owned()),
        };
        match outcome {
            None => tracing::warn!(%job, name, "the job's lease is lost; it was stopped"),
            Some(outcome) => {
                let done = match status {
                    Some(status) => ran(status, output),
                    None => done(outcome, &why, folder, output),
                };
                tracing::info!(%job, name, outcome = ?done.outcome, "a job has ended");
                if !self.tell_end(done, stopping).await {
                    return;
                }
            }
        }
        place::remove(folder);
    }

    /// Renews the lease for as long as it can, and tells what is new; returns when the job is to be
    /// stopped, or is not this node's any more.
    async fn keep_lease(&self, work: &Work) -> Verdict {
        let mut next = self.since + self.third();
        let mut told = (None, 0);
        loop {
            let tick = next.saturating_sub(now()).min(self.tell_millis());
            tokio::time::sleep(Duration::from_millis(tick)).await;
            let news = (work.held.progress(), work.output.size());
            if now() < next && news == told {
                continue;
            }
            let life = Duration::from_millis(self.third() * 3);
            next = match tokio::time::timeout(life, self.renew(work)).await {
                Ok(Ok(Verdict::Kept)) => {
                    told = news;
                    now() + self.third()
                }
                Ok(Ok(verdict)) => return verdict,
                Ok(Err(problem)) if is_final(&problem) => return Verdict::Lost,
                // Without a renewal its holder ends it in time.
                _ => now() + self.third() / 4,
            };
        }
    }

    fn tell_millis(&self) -> u64 {
        u64::try_from(self.node.pace.tell.as_millis()).unwrap_or(u64::MAX)
    }

    async fn renew(&self, work: &Work) -> Result<Verdict, Problem> {
        let asked = now();
        let progress = work.held.progress();
        let progress = progress.and_then(|line| says::progress(&line, &work.output));
        let output = work.output.tail();
        let verdict = self.reports.tell(self.running(output, progress)).await?;
        if verdict == Verdict::Kept {
            work.held.extend(self.deadline(asked));
        }
        Ok(verdict)
    }

    fn running(&self, output: String, progress: Option<Progress>) -> Report {
        Report { output, progress, ..self.report(Outcome::Running) }
    }

    fn report(&self, outcome: Outcome) -> Report {
        let (job, token, output) = (self.job(), self.lease.token, String::new());
        Report { job, token, outcome, output, progress: None, result: None, problem: None }
    }

    /// Tells how it ended, as long as it is this node's to tell. Answers whether there is nothing
    /// more to tell.
    async fn tell_end(&self, done: Done, stopping: &mut watch::Receiver<bool>) -> bool {
        let Done { outcome, problem, result, output } = done;
        let report = Report { output, problem, result, ..self.report(outcome) };
        let telling = async {
            let mut pauses = self.node.pace.asking_pauses();
            loop {
                match self.reports.tell(report.clone()).await {
                    Err(problem) if !is_final(&problem) => {
                        tokio::time::sleep(pauses.take()).await;
                    }
                    Ok(Verdict::Kept | Verdict::Stop) => return,
                    refused => {
                        tracing::warn!(job = %self.job(), ?refused, "nobody hears how a job ended");
                        return;
                    }
                }
            }
        };
        let impatient = async {
            stopped(stopping).await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            () = telling => true,
            () = impatient => false,
            () = tokio::time::sleep(Duration::from_millis(self.third() * 3)) => true,
        }
    }
}

/// What is told of a command that was to be run once and has ended by itself: it was run, and what it
/// came to is its status.
fn ran(status: i32, output: &Output) -> Done {
    let result = Some(json!({ "status": status }));
    Done { outcome: Outcome::Succeeded, problem: None, result, output: output.tail() }
}

/// What is told of a command that ended, with what it came to.
fn done(outcome: Outcome, why: &str, folder: &Path, output: &Output) -> Done {
    let problem = format!("the command {why}");
    let output = output.tail();
    if outcome != Outcome::Succeeded {
        return Done { outcome, problem: Some(problem), result: None, output };
    }
    match says::result(&place::result(folder)) {
        Ok(result) => Done { outcome, problem: None, result, output },
        // It has done what it does, so it is not done again.
        Err(why) => Done { outcome: Outcome::Refused, problem: Some(why), result: None, output },
    }
}

/// Whether the platform will never take the report: the job is somebody else's, or done.
fn is_final(problem: &Problem) -> bool {
    matches!(problem.kind, Kind::Conflict | Kind::NotFound | Kind::Invalid | Kind::Denied)
}
