//! Takes jobs for the releases that are ready here, and runs their commands.
//!
//! A job is this node's only while its lease holds. When a report is refused, or none gets through
//! until the lease has run out, another node may have begun the job: the command is ended at once,
//! by its holder if there is no agent. One that is back in time goes on with it.

mod attempt;
mod command;
mod place;
mod reports;
mod says;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use api::jobs::LeaseJobs;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};
use types::JobId;

use crate::{Node, hold::now, releases::Releases, stopped};
use attempt::Attempt;
use place::Left;
use reports::Reports;

/// How long the platform may wait for a job to come.
const WAIT_MILLIS: u32 = 2_000;
/// The same while only a set-up could be taken: a question is never withdrawn, and whatever ends
/// meanwhile makes room for any job.
const WAIT_MILLIS_FULL: u32 = 250;
/// So many jobs of set-ups have room beside all others.
const SETUP_SLOTS: usize = 1;
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// At least this long is waited between two questions.
const BREATH: Duration = Duration::from_millis(20);

/// Takes jobs and does them.
#[derive(Clone)]
pub(crate) struct Worker {
    node: Arc<Node>,
    releases: Releases,
    reports: Arc<Reports>,
    slots: usize,
}

type Asking = Pin<Box<dyn Future<Output = Vec<Attempt>> + Send>>;

/// How many more jobs can be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Free {
    for_all: usize,
    for_setups: usize,
}

/// The jobs that a node has.
#[derive(Default)]
struct Hand {
    running: JoinSet<JobId>,
    holding: Vec<JobId>,
}

impl Worker {
    /// A worker for the releases of a node, with a slot for each processor, two at least, and one
    /// more for set-ups.
    pub(crate) fn new(node: Arc<Node>, releases: Releases) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let reports = Reports::new(Arc::clone(&node));
        Self { node, releases, reports, slots: processors.max(2) }
    }

    /// Works until `stopping`; what runs is then stopped and given back, or left for the next agent.
    pub(crate) async fn work(self, mut stopping: watch::Receiver<bool>) {
        let mut changes = self.node.changes.listen();
        let mut hand = Hand::default();
        // Before anything is asked for: a job that is not named then is another node's.
        for left in place::all(&self.node.folder.jobs()).await {
            hand.go_on(&self, left, stopping.clone());
        }
        let mut asking: Option<Asking> = None;
        loop {
            let free = self.free(hand.running.len());
            // A question is never withdrawn: its answer may be leases, which nobody would know of.
            if asking.is_none() && free != Free::default() {
                asking = self.ask(free, &hand.holding);
            }
            tokio::select! {
                () = stopped(&mut stopping) => break,
                attempts = answer(asking.as_mut()) => {
                    asking = None;
                    for attempt in attempts.into_iter().take(free.for_all + free.for_setups) {
                        hand.begin(&self, attempt, stopping.clone());
                    }
                }
                Some(ended) = hand.running.join_next() => hand.forget(ended),
                _ = changes.changed() => {}
            }
        }
        while hand.running.join_next().await.is_some() {}
    }

    /// What there is room for beside so many that run.
    fn free(&self, running: usize) -> Free {
        let for_all = self.slots.saturating_sub(running);
        let for_setups = (self.slots + SETUP_SLOTS).saturating_sub(running.max(self.slots));
        Free { for_all, for_setups }
    }

    fn ask(&self, free: Free, holding: &[JobId]) -> Option<Asking> {
        let slots = |free: usize| u32::try_from(free).unwrap_or(u32::MAX);
        let operation = LeaseJobs {
            node: self.node.id,
            releases: self.releases.all_ready(),
            holding: holding.to_vec(),
            slots: slots(free.for_all),
            setup_slots: slots(free.for_setups),
            wait_millis: if free.for_all == 0 { WAIT_MILLIS_FULL } else { WAIT_MILLIS },
        };
        if operation.releases.is_empty() || self.node.removed.load(Ordering::Acquire) {
            return None;
        }
        let (node, reports) = (Arc::clone(&self.node), Arc::clone(&self.reports));
        Some(Box::pin(async move {
            let asked = now();
            match tokio::time::timeout(PATIENCE, node.client.call(operation)).await {
                Ok(Ok(leases)) if !leases.leases.is_empty() => {
                    let attempt =
                        |lease| Attempt::new(Arc::clone(&node), Arc::clone(&reports), lease, asked);
                    return leases.leases.into_iter().map(attempt).collect();
                }
                // It has waited, or should have.
                Ok(Ok(_)) => tokio::time::sleep(BREATH).await,
                failed => {
                    let problem = failed.ok().and_then(Result::err);
                    let why =
                        problem.map_or_else(|| "no answer in time".into(), |why| why.to_string());
                    tracing::warn!(%why, "cannot ask for jobs; will try again");
                    tokio::time::sleep(node.pace.again).await;
                }
            }
            Vec::new()
        }))
    }
}

impl Hand {
    fn begin(&mut self, worker: &Worker, attempt: Attempt, stopping: watch::Receiver<bool>) {
        let (job, releases) = (attempt.job(), worker.releases.clone());
        self.holding.push(job);
        self.running.spawn(async move {
            attempt.carry_out(&releases, stopping).await;
            job
        });
    }

    fn go_on(&mut self, worker: &Worker, left: Left, stopping: watch::Receiver<bool>) {
        let (node, reports) = (Arc::clone(&worker.node), Arc::clone(&worker.reports));
        let attempt = Attempt::again(node, reports, left.lease.clone());
        let (job, releases) = (attempt.job(), worker.releases.clone());
        tracing::info!(%job, "a job goes on");
        self.holding.push(job);
        self.running.spawn(async move {
            attempt.go_on(&releases, left, stopping).await;
            job
        });
    }

    /// One that panicked is held until its lease runs out.
    fn forget(&mut self, ended: Result<JobId, JoinError>) {
        let ended = ended.ok();
        if let Some(place) = self.holding.iter().position(|job| Some(*job) == ended) {
            self.holding.swap_remove(place);
        }
    }
}

async fn answer(asking: Option<&mut Asking>) -> Vec<Attempt> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}
