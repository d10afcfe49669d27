//! Jobs: queue one and follow it, see them, take them back, try them again.

use std::{io::Read as _, path::PathBuf, time::Duration};

use api::{
    configurator::RepeatInstances,
    jobs::{
        self, BeginUsage, CancelJob, DEFAULT_CLASS, EnqueueJobs, GetInstanceJob, GetJob, JobState,
        ListInstanceJobs, ListJobs, NewJob, PAYLOAD_BYTES_MAX, ReplayJob, ReplayJobs, Unique,
        Until,
    },
};
use clap::{Args, Subcommand};
use serde_json::Value;
use types::{AccountId, InstanceId, JobId, Name};

use super::{
    Failure, Outcome,
    context::Context,
    failure::failed,
    names::{Ids, Names},
    output::{Limit, Table, moment, record, word},
    progress::Progress,
    status,
    target::Which,
};

/// Jobs: queue one, follow it, take it back, try it again
#[derive(Debug, Args)]
pub(crate) struct Job {
    #[command(subcommand)]
    verb: JobVerb,
}

#[derive(Debug, Subcommand)]
enum JobVerb {
    /// Queue a job for an instance
    #[command(after_help = "Examples:
  mandate job run bakery-forum.localhost digest --wait
  mandate job run bakery-forum.localhost import --payload members.json --unique members
  echo '{\"week\":48}' | mandate job run bakery-forum.localhost digest --payload - --delay 10m")]
    Run(Run),
    /// List jobs, newest first: an instance's, or everybody's for operators
    List(List),
    /// Show a job with the end of what it printed
    Show(Whichever),
    /// Take a job back; one that runs is stopped
    Cancel(Whichever),
    /// Try a job again that failed for good or was set aside, or all such jobs of a queue
    #[command(after_help = "Examples:
  mandate job replay job_01h455vb4pex5vsknk084sn02q
  mandate job replay --service forum --name import
  mandate job replay --service forum --set-aside")]
    Replay(Replay),
    /// Say that `jobs.db` was lost, or put back from a backup
    ///
    /// What jobs take is billed again, and `jobs` is told of every instance again.
    Restored,
}

/// One job.
#[derive(Debug, Args)]
struct Whichever {
    /// Which job
    job: JobId,
    /// Of which instance, by its id or host; operators need not say
    #[arg(long, value_name = "INSTANCE")]
    of: Option<String>,
    /// Only if it is of this account
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    which: Which,
    /// What to run: a name under `[jobs]` of the service's manifest
    name: String,
    /// The file with its payload, JSON; `-` is standard input
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// The version that the payload is written for
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// For how long it waits first, such as `90s`, `10m`, `2h` or `7d`
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    delay: Option<u32>,
    /// Queue nothing if a job with this name and key has not ended
    #[arg(long, value_name = "KEY")]
    unique: Option<String>,
    /// Wait until it has ended, and show how it goes
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
struct List {
    /// Only of this instance, by its id or host
    #[arg(value_name = "INSTANCE")]
    instance: Option<String>,
    /// Only if it is of this account
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only of this service
    #[arg(long, conflicts_with = "instance")]
    service: Option<Name>,
    /// Only these, such as `ready`, `running`, `failed` or `stranded`
    #[arg(long, value_parser = state)]
    state: Option<JobState>,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Debug, Args)]
struct Replay {
    /// Which job
    #[arg(required_unless_present = "service", conflicts_with_all = ["service", "class", "name"])]
    job: Option<JobId>,
    /// Of which instance it is, by its id or host; operators need not say
    #[arg(long, value_name = "INSTANCE", requires = "job")]
    of: Option<String>,
    /// Only if it is of this account
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// All of this service's queue that failed for good, the oldest first; for operators
    #[arg(long)]
    service: Option<Name>,
    /// Which of its queues
    #[arg(long, requires = "service", default_value = DEFAULT_CLASS)]
    class: String,
    /// Only jobs of this name
    #[arg(long, requires = "service")]
    name: Option<String>,
    /// Those that were set aside at an update, instead of those that failed for good
    #[arg(long, requires = "service")]
    set_aside: bool,
}

impl Job {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            JobVerb::Run(run) => run.run(cx).await,
            JobVerb::List(list) => list.run(cx).await,
            JobVerb::Show(which) => {
                let (_, _, job) = which.find(cx).await?;
                let called = names(cx, std::slice::from_ref(&job)).await;
                cx.show(&job, |job| shown(job, &called))
            }
            JobVerb::Cancel(which) => {
                let (account, instance, jobs::Job { job, .. }) = which.find(cx).await?;
                let job = cx.ask(CancelJob { account, instance, job }).await?;
                cx.show(&job, |job| match job.state {
                    JobState::Running => format!("{} is being stopped.", job.job),
                    state => format!("{} is {}.", job.job, word(&state)),
                })
            }
            JobVerb::Replay(replay) => replay.run(cx).await,
            JobVerb::Restored => {
                let begun = cx.ask(BeginUsage {}).await?;
                cx.ask(RepeatInstances {}).await?;
                cx.show(&begun, |begun| {
                    format!(
                        "Usage is counted anew as epoch {}; {} events that waited are dropped, \
                         since billing was told them before. `jobs` is told of every instance again.",
                        begun.epoch, begun.dropped
                    )
                })
            }
        }
    }
}

/// What people call what jobs name.
pub(super) async fn names(cx: &Context, jobs: &[jobs::Job]) -> Names {
    let mut ids = Ids::default();
    for job in jobs {
        ids.instances.insert(job.instance);
        ids.accounts.insert(job.account);
        ids.nodes.extend(job.node);
    }
    cx.names(ids).await
}

impl Whichever {
    /// The job, and what it is of.
    async fn find(&self, cx: &Context) -> Result<(AccountId, InstanceId, jobs::Job), Failure> {
        let job = self.job;
        let Some(of) = &self.of else {
            let asked = cx.ask(GetJob { job }).await;
            let found = asked.map_err(|failure| {
                if failure.is_refused() {
                    failure.hint("name its instance: pass `--of HOST`")
                } else {
                    failure
                }
            })?;
            return Ok((found.account, found.instance, found));
        };
        let (account, instance) = cx.instance_id(self.account, of).await?;
        let found = cx.ask(GetInstanceJob { account, instance, job }).await?;
        Ok((account, instance, found))
    }
}

impl Run {
    async fn run(self, cx: &Context) -> Outcome {
        let payload = self.payload.as_ref().map_or(Ok(Value::Null), payload)?;
        let (account, instance) = cx.instance_id(self.which.account, &self.which.instance).await?;
        if self.wait {
            cx.is_not_failed((account, instance), &self.which.instance).await?;
        }
        let new = NewJob {
            name: self.name,
            payload,
            version: self.version,
            delay_seconds: self.delay,
            unique: self.unique.map(|key| Unique { key, until: Until::Ended }),
            ..NewJob::default()
        };
        let queued = cx.ask(EnqueueJobs { account, instance, jobs: vec![new] }).await?;
        let Some(job) = queued.jobs.first().copied() else {
            return Err(Failure::new(status::UNEXPECTED, "the platform named no job"));
        };
        let look = GetInstanceJob { account, instance, job };
        if !self.wait {
            return cx.show(&cx.ask(look).await?, |job| {
                let of = &self.which.instance;
                let what =
                    job.waits_for.as_ref().map_or_else(String::new, |it| format!(" for {it}"));
                format!("{} waits{what}; `mandate job show {0} --of {of}` shows it.", job.job)
            });
        }
        let mut progress = Progress::begin(cx);
        let ended = follow(cx, &mut progress, look).await?;
        if ended.state != JobState::Succeeded {
            let failure = failed(&format!("the job is {}", word(&ended.state)), ended.problem);
            return Err(match ended.output.trim() {
                "" => failure,
                output => failure.output(format!("`{}` printed", ended.name), output),
            });
        }
        let called = names(cx, std::slice::from_ref(&ended)).await;
        cx.show(&ended, |job| shown(job, &called))
    }
}

/// Tells how a job goes until it has ended.
async fn follow(
    cx: &Context,
    progress: &mut Progress,
    look: GetInstanceJob,
) -> Result<jobs::Job, Failure> {
    let done = |progress: &mut Progress, job: jobs::Job| {
        progress.say(&going(&job))?;
        Ok(job.state.has_ended().then_some(job))
    };
    progress.until(|| cx.ask(look.clone()), done).await
}

/// How a job goes, in a line.
fn going(job: &jobs::Job) -> String {
    let state = match (&job.waits_for, job.attempts) {
        (Some(what), _) if job.state.waits() => format!("{}, for {what}", word(&job.state)),
        (None, 1..) if job.state.waits() => format!("{} for another attempt", word(&job.state)),
        _ => word(&job.state),
    };
    let progress = job.progress.clone().unwrap_or_default();
    let percent = progress.percent.map(|percent| format!("{percent} %"));
    let told = percent.into_iter().chain(progress.note);
    let told = told.filter(|_| job.state == JobState::Running);
    std::iter::once(format!("{} {state}", job.name)).chain(told).collect::<Vec<_>>().join(", ")
}

/// What stands in a file, or comes on standard input.
fn payload(file: &PathBuf) -> Result<Value, Failure> {
    let mut text = Vec::new();
    let limit = PAYLOAD_BYTES_MAX as u64 + 1;
    let read = match file.to_str() {
        Some("-") => std::io::stdin().take(limit).read_to_end(&mut text),
        _ => std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut text)),
    };
    let name = file.display();
    let unfit = |sentence: String| Failure::new(status::UNFIT, sentence);
    read.map_err(|cause| unfit(format!("`{name}` cannot be read: {cause}")))?;
    if text.len() > PAYLOAD_BYTES_MAX {
        let sentence = format!("`{name}` is longer than {} KiB", PAYLOAD_BYTES_MAX >> 10);
        return Err(unfit(sentence).hint("store it elsewhere, and say in the payload where it is"));
    }
    serde_json::from_slice(&text).map_err(|cause| {
        unfit(format!("`{name}` is not JSON: {cause}"))
            .hint("text stands in quotes: `\"like this\"`")
    })
}

impl List {
    async fn run(self, cx: &Context) -> Outcome {
        let Self { instance, account, service, state, limit: Limit { limit } } = self;
        let jobs = if let Some(text) = instance {
            let (account, instance) = cx.instance_id(account, &text).await?;
            let page = |after, limit| {
                let name = None;
                ListInstanceJobs { account, instance, state, name, after, limit }
            };
            cx.list(limit, page).await?
        } else {
            let page = |after, limit| {
                let (service, name) = (service.clone(), None);
                ListJobs { service, state, name, after, limit }
            };
            let all = cx.list(limit, page).await;
            all.map_err(|failure| {
                if failure.is_refused() {
                    failure.hint("yours are listed by instance: `mandate job list HOST`")
                } else {
                    failure
                }
            })?
        };
        let called = names(cx, &jobs.items).await;
        let empty = "No job yet; setting up an instance queues the first ones.";
        cx.show_list(&jobs, empty, |jobs| table(jobs, &called))
    }
}

impl Replay {
    async fn run(self, cx: &Context) -> Outcome {
        let Self { job, of, account, service, class, name, set_aside } = self;
        if let Some(job) = job {
            let (account, instance, _) = Whichever { job, of, account }.find(cx).await?;
            let job = cx.ask(ReplayJob { account, instance, job }).await?;
            return cx.show(&job, |job| format!("{} is tried again.", job.job));
        }
        let Some(service) = service else {
            return Err(Failure::new(status::USAGE, "name a job, or a service with `--service`"));
        };
        let limit = None;
        let reply = cx.ask(ReplayJobs { service, class, name, set_aside, limit }).await?;
        cx.show(&reply, |reply| match reply.replayed {
            0 if set_aside => "No job there was set aside.".to_owned(),
            0 => "No job there has failed for good.".to_owned(),
            1 => "1 job is tried again.".to_owned(),
            1_000 => "1,000 jobs are tried again; there may be more, so say it again.".to_owned(),
            count => format!("{count} jobs are tried again."),
        })
    }
}

/// A time as people write it.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let time = api::manifest::duration(text).map(|time| Duration::as_secs(&time));
    let seconds = time.and_then(|seconds| u32::try_from(seconds).ok());
    seconds.ok_or_else(|| "write `s`, `m`, `h` or `d` after a whole number".to_owned())
}

fn state(text: &str) -> Result<JobState, String> {
    serde_json::from_value(Value::String(text.replace([' ', '-'], "_"))).map_err(|_| {
        "write `blocked`, `held`, `delayed`, `ready`, `stranded`, `running`, `succeeded`, `failed`, \
         `cancelled`, `dropped` or `set-aside`"
            .to_owned()
    })
}

/// Jobs for people.
pub(super) fn table(jobs: &[jobs::Job], called: &Names) -> String {
    let headings = ["JOB", "SERVICE", "INSTANCE", "NAME", "STATE", ">ATTEMPTS", "QUEUED"];
    Table::of(&headings, jobs, |table, job| {
        let (state, queued) = (word(&job.state), moment(job.created));
        let jobs::Job { job, service, instance, name, attempts, .. } = job;
        let host = called.instance(*instance);
        table.row([job, service, &host, name, &state, attempts, &queued]);
    })
}

fn shown(job: &jobs::Job, called: &Names) -> String {
    let is_told = job.progress.is_some() && job.state == JobState::Running;
    let text = record(&[
        ("job", Some(job.job.to_string())),
        ("name", Some(job.name.clone())),
        ("version", (job.version > 1).then(|| job.version.to_string())),
        ("service", Some(job.service.to_string())),
        ("account", Some(called.account(job.account))),
        ("instance", Some(called.instance(job.instance))),
        ("release", job.release.as_ref().map(ToString::to_string)),
        ("state", Some(word(&job.state))),
        ("progress", is_told.then(|| going(job))),
        ("waits for", job.waits_for.clone()),
        ("problem", job.problem.clone()),
        ("attempts", Some(job.attempts.to_string())),
        ("of them lost", (job.lost > 0).then(|| job.lost.to_string())),
        ("queued", Some(moment(job.created))),
        ("started", job.started.map(moment)),
        ("ended", job.ended.map(moment)),
        ("node", job.node.map(|node| called.node(node))),
    ]);
    let text = match &job.payload {
        payload if payload.is_null() || job.state != JobState::SetAside => text,
        payload => format!("{text}\n\nIts payload: {payload}"),
    };
    let text = match &job.result {
        Some(result) => format!("{text}\n\nIt came to: {result}"),
        None => text,
    };
    match job.output.trim_end() {
        "" => format!("{text}\n\nIt printed nothing."),
        output => format!("{text}\n\nIt printed:\n{output}"),
    }
}
