//! Takes jobs for the releases that are ready here, and runs their commands.
//!
//! A job is this node's only while its lease holds. When a report is refused, or none gets through
//! until the lease has run out, another node may have begun the job: the command is ended at once.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use api::{
    Kind, Problem,
    jobs::{Lease, LeaseJobs, Outcome, Report, ReportJobs, Verdict},
    manifest::Manifest,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use types::JobId;

use crate::{
    Node, environment,
    folder::Scratch,
    output::Output,
    process::{Launch, Process, in_words},
    releases::{Ready, Releases},
    stopped,
};

/// How long the platform may wait for a job to come.
const WAIT_MILLIS: u32 = 2_000;
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// At least this long is waited between two questions.
const BREATH: Duration = Duration::from_millis(20);
/// How long the platform may take to hear of jobs that are given back when the node goes.
const FAREWELL: Duration = Duration::from_secs(2);

/// Takes jobs and does them.
#[derive(Clone)]
pub(crate) struct Worker {
    node: Arc<Node>,
    releases: Releases,
    slots: usize,
}

type Asking = Pin<Box<dyn Future<Output = Vec<Lease>> + Send>>;

/// How a command went; `None` if the job is not this node's any more.
type Done = Option<(Outcome, String)>;

impl Worker {
    /// A worker for the releases of a node, with a slot for each processor, two at least.
    pub(crate) fn new(node: Arc<Node>, releases: Releases) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self { node, releases, slots: processors.max(2) }
    }

    /// Works until `stopping`; then stops what runs and gives it back.
    pub(crate) async fn work(self, mut stopping: watch::Receiver<bool>) {
        let mut changes = self.node.changes.listen();
        let mut running = JoinSet::new();
        let mut holding = Vec::new();
        let mut asking: Option<Asking> = None;
        loop {
            // A question is never withdrawn: its answer may be leases, which nobody would know of.
            if asking.is_none() && running.len() < self.slots {
                asking = self.ask(self.slots - running.len(), &holding);
            }
            tokio::select! {
                () = stopped(&mut stopping) => break,
                leases = answer(asking.as_mut()) => {
                    asking = None;
                    for lease in leases.into_iter().take(self.slots - running.len()) {
                        holding.push(lease.job);
                        running.spawn(self.clone().carry_out(lease, stopping.clone()));
                    }
                }
                Some(ended) = running.join_next() => {
                    // One that panicked is held until its lease runs out.
                    let ended = ended.unwrap_or_default();
                    if let Some(place) = holding.iter().position(|job| Some(*job) == ended) {
                        holding.swap_remove(place);
                    }
                }
                _ = changes.changed() => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    fn ask(&self, free: usize, holding: &[JobId]) -> Option<Asking> {
        let operation = LeaseJobs {
            node: self.node.id,
            releases: self.releases.all_ready(),
            holding: holding.to_vec(),
            slots: u32::try_from(free).unwrap_or(u32::MAX),
            wait_millis: WAIT_MILLIS,
        };
        if operation.releases.is_empty() {
            return None;
        }
        let node = Arc::clone(&self.node);
        Some(Box::pin(async move {
            match tokio::time::timeout(PATIENCE, node.client.call(operation)).await {
                Ok(Ok(leases)) if !leases.leases.is_empty() => return leases.leases,
                // It has waited, or should have.
                Ok(Ok(_)) => tokio::time::sleep(BREATH).await,
                failed => {
                    let problem = failed.map(Result::err).ok().flatten();
                    tracing::warn!(?problem, "no jobs can be had; will ask again");
                    tokio::time::sleep(node.pace.again).await;
                }
            }
            Vec::new()
        }))
    }

    /// Answers which job it was.
    async fn carry_out(self, lease: Lease, mut stopping: watch::Receiver<bool>) -> Option<JobId> {
        let (job, name) = (lease.job, &lease.name);
        tracing::info!(%job, name, attempt = lease.attempt, "a job begins");
        let done = self.run(&lease, &mut stopping).await;
        let Some((outcome, output)) = done else {
            tracing::warn!(%job, name, "the job's lease is lost; it was stopped");
            return Some(job);
        };
        tracing::info!(%job, name, ?outcome, "a job has ended");
        self.tell_end(&lease, outcome, output, &mut stopping).await;
        Some(job)
    }

    async fn run(&self, lease: &Lease, stopping: &mut watch::Receiver<bool>) -> Done {
        let failed = |output: &Output, why: &str| Some((Outcome::Again, output.tail_with(why)));
        let mut output = Output::default();
        let scratch = match Scratch::new(self.node.folder.job(lease.job, lease.token)) {
            Ok(scratch) => scratch,
            Err(cause) => return failed(&output, &format!("the node cannot store files: {cause}")),
        };
        // The release is held until the command has ended, so that it is not removed meanwhile.
        let (mut process, _ready) = tokio::select! {
            started = self.start(lease, &scratch, &mut output) => match started {
                Ok(started) => started,
                Err(why) => return failed(&output, &why),
            },
            () = stopped(stopping) => return failed(&output, "the node stops; not begun"),
        };
        let limit = Duration::from_secs(lease.timeout_seconds.into());
        let why = tokio::select! {
            status = process.ended() => match status {
                Ok(status) if status.success() => {
                    return Some((Outcome::Succeeded, output.tail()));
                }
                status => in_words(status),
            },
            () = self.keep_lease(lease, &output) => return None,
            () = tokio::time::sleep(limit) => format!("was stopped after its limit of {limit:?}"),
            () = stopped(stopping) => "was stopped, since the node stops".to_owned(),
        };
        process.stop(self.node.pace.grace).await;
        failed(&output, &format!("the command {why}"))
    }

    async fn start(
        &self,
        lease: &Lease,
        scratch: &Scratch,
        output: &mut Output,
    ) -> Result<(Process, Arc<Ready>), String> {
        let ready = self.releases.ready(&lease.release);
        let ready = ready.ok_or("the release is not ready on this node any more")?;
        if !is_command_of(&ready.manifest, &lease.command) {
            return Err("the release's manifest has no such command: nothing else is run".into());
        }
        let instance = lease.instance;
        let of_instance = environment::of_instance(&self.node, instance, &ready.manifest).await;
        let (mut variables, secrets) =
            of_instance.map_err(|problem| format!("the environment cannot be had: {problem}"))?;
        let basis = environment::basis(scratch.path());
        let unstorable = |cause: std::io::Error| format!("the node cannot store files: {cause}");
        variables.extend(basis.map_err(unstorable)?);
        variables.extend(environment::home_of(&self.node, instance).map_err(unstorable)?);
        *output = Output::hiding(secrets);
        let launch = Launch {
            command: &lease.command,
            folder: &ready.folder,
            variables,
            log: scratch.path().join("output.log"),
            remembered: self.node.folder.processes(),
            surveys: self.node.surveys.clone(),
        };
        let process = Process::launch(launch, output).await;
        let process = process.map_err(|cause| format!("the command cannot be started: {cause}"))?;
        Ok((process, ready))
    }

    /// Renews the lease for as long as it can; returns when the job is not this node's any more.
    async fn keep_lease(&self, lease: &Lease, output: &Output) {
        let life = Duration::from_secs(lease.lease_seconds.into());
        let mut held_until = Instant::now() + life;
        loop {
            tokio::time::sleep(life / 3).await;
            let asked = Instant::now();
            let report = self.report(lease, Outcome::Running, output.tail());
            match tokio::time::timeout_at(held_until, report).await {
                Ok(Ok(())) => held_until = asked + life,
                Ok(Err(problem)) if is_final(&problem) => return,
                Ok(Err(_)) if Instant::now() < held_until => {}
                _ => return,
            }
        }
    }

    /// Tells how it ended, as long as it is this node's to tell.
    async fn tell_end(
        &self,
        lease: &Lease,
        outcome: Outcome,
        output: String,
        stopping: &mut watch::Receiver<bool>,
    ) {
        let telling = async {
            let mut pauses = self.node.pace.asking_pauses();
            while let Err(problem) = self.report(lease, outcome, output.clone()).await {
                if is_final(&problem) {
                    tracing::warn!(job = %lease.job, %problem, "nobody hears how a job ended");
                    return;
                }
                tokio::time::sleep(pauses.take()).await;
            }
        };
        let impatient = async {
            stopped(stopping).await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            () = telling => {}
            () = impatient => {}
            () = tokio::time::sleep(Duration::from_secs(lease.lease_seconds.into())) => {}
        }
    }

    async fn report(&self, lease: &Lease, outcome: Outcome, output: String) -> Result<(), Problem> {
        let (job, token) = (lease.job, lease.token);
        let (progress, result, problem) = (None, None, None);
        let report = Report { job, token, outcome, output, progress, result, problem };
        let operation = ReportJobs { node: self.node.id, reports: vec![report] };
        let reports = self.node.client.call(operation).await?.reports;
        if reports.iter().all(|reported| reported.verdict == Verdict::Kept) {
            return Ok(());
        }
        Err(Problem::conflict("lease_lost", "the job is not this node's any more"))
    }
}

async fn answer(asking: Option<&mut Asking>) -> Vec<Lease> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// Whether the platform will never take the report: the job is somebody else's, or done.
fn is_final(problem: &Problem) -> bool {
    matches!(problem.kind, Kind::Conflict | Kind::NotFound | Kind::Invalid | Kind::Denied)
}

/// Whether a command is one that the release's publisher has signed.
fn is_command_of(manifest: &Manifest, command: &[String]) -> bool {
    let database = manifest.database.iter();
    let of_database = database.flat_map(|database| database.migrate.iter().chain(&database.seed));
    let of_jobs = manifest.jobs.values().map(|job| &job.command);
    of_database.chain(of_jobs).any(|known| known == command)
}
