//! Queues and jobs.

use api::jobs::{self, BeginUsage, DEFAULT_CLASS, GetJob, ListJobs, ListQueues, SetQueue};
use clap::{Args, Subcommand};
use types::{JobId, Name};

use super::{
    Outcome,
    context::Context,
    output::{Limit, Table, moment, record, word},
};

/// Where jobs wait, one queue for each service
#[derive(Debug, Args)]
pub(crate) struct Queue {
    #[command(subcommand)]
    verb: QueueVerb,
}

#[derive(Debug, Subcommand)]
enum QueueVerb {
    /// List the queues
    List(Limit),
    /// Hand out no job of a service until its queue is resumed
    Pause {
        /// Whose jobs
        service: Name,
    },
    /// Hand out a service's jobs again
    Resume {
        /// Whose jobs
        service: Name,
    },
}

impl Queue {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            QueueVerb::List(Limit { limit }) => {
                let queues = cx.list(limit, |after, limit| ListQueues { after, limit }).await?;
                let empty = "No queue yet; a service's first job makes its own.";
                cx.show_list(&queues, empty, |queues| {
                    let headings = ["SERVICE", "CLASS", "STATE", ">WAITING", ">RUNNING", ">FAILED"];
                    Table::of(&headings, queues, |table, queue| {
                        let state = if queue.paused { "paused" } else { "open" };
                        let jobs::Queue { service, class, jobs, .. } = queue;
                        let (waiting, running, failed) =
                            (jobs.waiting(), jobs.running, jobs.failed);
                        table.row([service, class, &state, &waiting, &running, &failed]);
                    })
                })
            }
            QueueVerb::Pause { service } => set(cx, service, true).await,
            QueueVerb::Resume { service } => set(cx, service, false).await,
        }
    }
}

async fn set(cx: &Context, service: Name, paused: bool) -> Outcome {
    let change = SetQueue { paused: Some(paused), ..SetQueue::of(service, DEFAULT_CLASS) };
    let queue = cx.ask(change).await?;
    cx.show(&queue, |queue| {
        let state = if queue.paused { "paused" } else { "open" };
        format!(
            "The queue of {} is {state}; {} jobs wait, {} run.",
            queue.service,
            queue.jobs.waiting(),
            queue.jobs.running
        )
    })
}

/// Jobs, with what they printed
#[derive(Debug, Args)]
pub(crate) struct Job {
    #[command(subcommand)]
    verb: JobVerb,
}

#[derive(Debug, Subcommand)]
enum JobVerb {
    /// List the jobs, newest first
    List {
        /// Only of this service's queue
        #[arg(long)]
        service: Option<Name>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a job with the end of what it printed
    Show {
        /// Which job
        job: JobId,
    },
    /// Say that `jobs.db` was put back from a backup, so that what jobs take is billed again
    Restored,
}

impl Job {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            JobVerb::List { service, limit } => {
                let page = |after, limit| ListJobs {
                    service: service.clone(),
                    after,
                    limit,
                    ..ListJobs::default()
                };
                let jobs = cx.list(limit.limit, page).await?;
                cx.show_list(
                    &jobs,
                    "No job yet; setting up an instance queues the first ones.",
                    table,
                )
            }
            JobVerb::Show { job } => cx.show(&cx.ask(GetJob { job }).await?, shown),
            JobVerb::Restored => cx.show(&cx.ask(BeginUsage {}).await?, |begun| {
                format!(
                    "Usage is counted anew as epoch {}; {} events that waited are dropped, since \
                     billing was told them before.",
                    begun.epoch, begun.dropped
                )
            }),
        }
    }
}

/// Jobs for people.
pub(super) fn table(jobs: &[jobs::Job]) -> String {
    let headings = ["JOB", "SERVICE", "INSTANCE", "NAME", "STATE", ">ATTEMPTS", "QUEUED"];
    Table::of(&headings, jobs, |table, job| {
        let (state, queued) = (word(&job.state), moment(job.created));
        let jobs::Job { job, service, instance, name, attempts, .. } = job;
        table.row([job, service, instance, name, &state, attempts, &queued]);
    })
}

fn shown(job: &jobs::Job) -> String {
    let text = record(&[
        ("job", Some(job.job.to_string())),
        ("name", Some(job.name.clone())),
        ("service", Some(job.service.to_string())),
        ("account", Some(job.account.to_string())),
        ("instance", Some(job.instance.to_string())),
        ("release", job.release.as_ref().map(ToString::to_string)),
        ("state", Some(word(&job.state))),
        ("waits for", job.waits_for.clone()),
        ("problem", job.problem.clone()),
        ("attempts", Some(job.attempts.to_string())),
        ("of them lost", (job.lost > 0).then(|| job.lost.to_string())),
        ("queued", Some(moment(job.created))),
        ("started", job.started.map(moment)),
        ("ended", job.ended.map(moment)),
        ("node", job.node.map(|node| node.to_string())),
    ]);
    match job.output.trim_end() {
        "" => format!("{text}\n\nIt printed nothing."),
        output => format!("{text}\n\nIt printed:\n{output}"),
    }
}
