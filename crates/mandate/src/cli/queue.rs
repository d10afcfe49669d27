//! Queues: see what waits, and let nothing out or in.

use api::jobs::{
    self, Counts, DEFAULT_CLASS, Drain, DrainState, Gate, GetQueue, ListQueues, QueueDetail,
    SetQueue,
};
use clap::{Args, Subcommand, ValueEnum};
use types::Name;

use super::{
    Failure, Outcome,
    context::Context,
    job::seconds,
    output::{Limit, Table, moment, record, word},
    progress::Progress,
    status,
};

/// Where jobs wait: one queue for each service and class of its jobs
#[derive(Debug, Args)]
pub(crate) struct Queue {
    #[command(subcommand)]
    verb: QueueVerb,
}

#[derive(Debug, Clone, Args)]
struct Which {
    /// Whose jobs
    service: Name,
    /// Which of its queues
    #[arg(default_value = DEFAULT_CLASS)]
    class: String,
}

#[derive(Debug, Subcommand)]
enum QueueVerb {
    /// List the queues
    List(Limit),
    /// Show what waits in a queue, by name and version
    Show(Which),
    /// Hand out no job of a queue until it is resumed
    Pause(Which),
    /// Hand out a queue's jobs again
    Resume(Which),
    /// Say what becomes of new jobs
    #[command(after_help = "Example:
  mandate queue gate forum hold")]
    Gate {
        /// Whose jobs
        service: Name,
        /// Queue them, refuse them, or keep them until the gate opens
        to: To,
        /// Which of its queues
        #[arg(default_value = DEFAULT_CLASS)]
        class: String,
    },
    /// Close the gate and empty a queue; `gate … open` ends it
    #[command(after_help = "Example:
  mandate queue drain forum --within 10m --wait")]
    Drain {
        #[command(flatten)]
        which: Which,
        /// Until when it should be empty, such as `90s` or `10m`
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
        within: u32,
        /// Refuse new jobs; without this they are kept until the gate opens
        #[arg(long)]
        refuse: bool,
        /// Wait until it is empty or the time is over
        #[arg(long)]
        wait: bool,
    },
}

/// What becomes of new jobs.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    /// They are queued
    Open,
    /// They are refused, to be sent again later
    Refuse,
    /// They are kept until the gate opens
    Hold,
}

impl From<To> for Gate {
    fn from(to: To) -> Self {
        match to {
            To::Open => Self::Open,
            To::Refuse => Self::Refuse,
            To::Hold => Self::Hold,
        }
    }
}

impl Which {
    fn change(&self) -> SetQueue {
        SetQueue::of(self.service.clone(), &self.class)
    }
}

impl Queue {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            QueueVerb::List(Limit { limit }) => {
                let queues = cx.list(limit, |after, limit| ListQueues { after, limit }).await?;
                let empty = "No queue yet; a service's first job makes its own.";
                cx.show_list(&queues, empty, table)
            }
            QueueVerb::Show(Which { service, class }) => {
                cx.show(&cx.ask(GetQueue { service, class }).await?, shown)
            }
            QueueVerb::Pause(which) => {
                set(cx, SetQueue { paused: Some(true), ..which.change() }).await
            }
            QueueVerb::Resume(which) => {
                set(cx, SetQueue { paused: Some(false), ..which.change() }).await
            }
            QueueVerb::Gate { service, to, class } => {
                let gate = Some(to.into());
                set(cx, SetQueue { gate, ..Which { service, class }.change() }).await
            }
            QueueVerb::Drain { which, within, refuse, wait } => {
                let gate = Some(if refuse { Gate::Refuse } else { Gate::Hold });
                let drain_seconds = Some(within);
                let change = SetQueue { gate, drain_seconds, ..which.change() };
                if !wait {
                    return set(cx, change).await;
                }
                cx.ask(change).await?;
                drain(cx, which).await
            }
        }
    }
}

async fn set(cx: &Context, change: SetQueue) -> Outcome {
    let queue = cx.ask(change).await?;
    cx.show(&queue, |queue| {
        let (waiting, running) = (queue.jobs.waiting(), queue.jobs.running);
        let name = called(queue);
        format!("The queue of {name} is {}; {waiting} jobs wait, {running} run.", state(queue))
    })
}

async fn drain(cx: &Context, which: Which) -> Outcome {
    let Which { service, class } = which;
    let look = || cx.ask(GetQueue { service: service.clone(), class: class.clone() });
    let done = |progress: &mut Progress, found: QueueDetail| match found.queue.drain {
        Some(Drain { state: DrainState::Draining, left, .. }) => {
            progress.say(&format!("{left} jobs left"))?;
            Ok(None)
        }
        Some(Drain { state: DrainState::Overdue, left, .. }) => {
            let sentence = format!("the time is over, and {left} jobs are left");
            Err(Failure::new(status::UNAVAILABLE, sentence)
                .hint("they go on; `mandate queue show` says what they are"))
        }
        Some(Drain { state: DrainState::Empty, .. }) => Ok(Some(found.queue)),
        None => Err(Failure::new(status::UNFIT, "somebody has opened the gate meanwhile")),
    };
    let queue = Progress::begin(cx).until(look, done).await?;
    cx.show(&queue, |queue| format!("The queue of {} is empty.", called(queue)))
}

fn called(queue: &jobs::Queue) -> String {
    let jobs::Queue { service, class, .. } = queue;
    if class == DEFAULT_CLASS { service.to_string() } else { format!("{service}, {class}") }
}

/// Whether anything gets out, and in.
fn state(queue: &jobs::Queue) -> String {
    let out = queue.paused.then_some("paused");
    let into = match (queue.gate, &queue.drain) {
        (Gate::Open, _) => None,
        (_, Some(drain)) => match drain.state {
            DrainState::Draining => Some("draining"),
            DrainState::Empty => Some("drained"),
            DrainState::Overdue => Some("not drained in time"),
        },
        (Gate::Refuse, None) => Some("refusing"),
        (Gate::Hold, None) => Some("holding"),
    };
    let words: Vec<&str> = out.into_iter().chain(into).collect();
    if words.is_empty() { "open".to_owned() } else { words.join(", ") }
}

fn table(queues: &[jobs::Queue]) -> String {
    let headings = ["SERVICE", "CLASS", "STATE", ">WAITING", ">RUNNING", ">STRANDED", ">FAILED"];
    Table::of(&headings, queues, |table, queue| {
        let jobs::Queue { service, class, jobs, .. } = queue;
        let Counts { running, stranded, failed, .. } = jobs;
        table.row([service, class, &state(queue), &jobs.waiting(), running, stranded, failed]);
    })
}

fn shown(detail: &QueueDetail) -> String {
    let QueueDetail { queue, kinds } = detail;
    let drain = queue.drain.map(|drain| {
        let Drain { deadline, left, .. } = drain;
        format!("{}, {left} left, until {}", word(&drain.state), moment(deadline))
    });
    let text = record(&[
        ("service", Some(queue.service.to_string())),
        ("class", Some(queue.class.clone())),
        ("state", Some(state(queue))),
        ("drain", drain),
        ("at once", queue.concurrency.map(|limit| limit.to_string())),
    ]);
    if kinds.is_empty() {
        return format!("{text}\n\nNothing waits, runs or has failed.");
    }
    let headings = [
        "NAME",
        ">VERSION",
        ">READY",
        ">DELAYED",
        ">BLOCKED",
        ">HELD",
        ">STRANDED",
        ">RUNNING",
        ">FAILED",
    ];
    let kinds = Table::of(&headings, kinds, |table, kind| {
        let Counts { blocked, held, delayed, ready, stranded, running, failed } = &kind.jobs;
        let (name, version) = (&kind.name, &kind.version);
        table.row([name, version, ready, delayed, blocked, held, stranded, running, failed]);
    });
    format!("{text}\n\n{kinds}")
}
