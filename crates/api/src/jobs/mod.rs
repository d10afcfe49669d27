//! jobs: what must still be done, by whom, and whether it was.

mod definitions;
mod leases;
mod queues;
mod updates;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::{AccountId, Digest, InstanceId, JobId, Name, NodeId, Timestamp};

pub use definitions::{
    CountWaiting, DropJobs, Instance, InstanceState, JobDefinition, PromoteJobs, PutInstances,
    PutJobs, Schedule, UnknownReleases, WaitingJobs, WaitingKind,
};
pub use leases::{
    Lease, LeaseJobs, Leases, Outcome, Report, ReportJobs, Reported, Reports, Upgrade, Verdict,
};
pub use queues::{
    Counts, Drain, DrainState, Gate, GetQueue, Queue, QueueDetail, QueuedKind, SetQueue,
};

pub use updates::{
    ASIDE_DAYS, Aside, CountJobsLeft, JobsAside, JobsLeft, SetJobsAside, Strategy, Workers,
};

pub use crate::manifest::{COMMAND_CLASS, COMMAND_JOB, DEFAULT_CLASS, SETUP_CLASS};

use crate::Empty;

operations! { "jobs":
    /// Queues jobs of an instance, all of them or none. Each runs a command that the service's
    /// manifest names.
    EnqueueJobs POST "/v1/accounts/{account}/instances/{instance}/jobs" on instance by [customer, operator, instance, gateway] -> Enqueued;
    /// Queues a command of an instance, run once: a program that the service's manifest names, with
    /// arguments of one's own.
    RunCommand POST "/v1/accounts/{account}/instances/{instance}/commands" on instance by [customer, operator] -> Enqueued;
    /// Queues jobs of an instance of a service, for the processes that serve all of them.
    EnqueueServiceJobs POST "/v1/services/{service}/instances/{instance}/jobs" on service by [service] -> Enqueued;
    /// Shows a job of an instance of a service, to the same.
    GetServiceJob GET "/v1/services/{service}/instances/{instance}/jobs/{job}" on service by [service] -> Job;
    /// Takes a job of an instance of a service back, for the same.
    CancelServiceJob PUT "/v1/services/{service}/instances/{instance}/jobs/{job}/cancellation" on service by [service] -> Job;
    /// Queues a job of an instance's set-up, once however often it is put.
    PutJob PUT "/v1/jobs/{job}" on platform by [configurator] -> Job;
    /// Says how many jobs of an instance run whose jobs may not be begun now, those of set-ups aside,
    /// and stops them if asked to. What is stopped is done again later.
    QuietInstance POST "/v1/instances/{instance}/quiet" on platform by [configurator] -> StillRunning;
    /// Says how many jobs of an instance must be done before it is empty, whose new ones are kept or
    /// refused.
    CountJobsLeft POST "/v1/instances/{instance}/left" on platform by [configurator] -> JobsLeft;
    /// Sets aside what waits of an instance and is another job, or none, in a release.
    SetJobsAside POST "/v1/instances/{instance}/aside" on platform by [configurator] -> JobsAside;
    /// Drops the jobs of a set-up, all or none, if nothing of it has been begun. Whether they were
    /// dropped is told like every end of theirs.
    WithdrawSetup POST "/v1/instances/{instance}/setup/withdrawal" on platform by [configurator] -> Empty;
    /// Shows a job of any instance.
    GetJob GET "/v1/jobs/{job}" on platform by [configurator, operator] -> Job;
    /// Shows a job of an instance.
    GetInstanceJob GET "/v1/accounts/{account}/instances/{instance}/jobs/{job}" on instance by [customer, operator, instance, gateway] -> Job;
    /// Lists the jobs of an instance, newest first.
    ListInstanceJobs GET "/v1/accounts/{account}/instances/{instance}/jobs" on instance by [customer, operator, instance] lists Job only [state: JobState, name: String];
    /// Lists jobs, newest first.
    ListJobs GET "/v1/jobs" on platform by [operator] lists Job only [service: Name, state: JobState, name: String];
    /// Takes a job back. One that runs is stopped by its node, and ends as cancelled unless it ends
    /// by itself before that.
    CancelJob PUT "/v1/accounts/{account}/instances/{instance}/jobs/{job}/cancellation" on instance by [customer, operator, instance] -> Job;
    /// Tries a job again that failed, was cancelled, was dropped or was set aside.
    ReplayJob POST "/v1/accounts/{account}/instances/{instance}/jobs/{job}/replays" on instance by [customer, operator] -> Job;
    /// Tries jobs of a queue again that failed for good, or were set aside.
    ReplayJobs POST "/v1/queues/{service}/{class}/replays" on service by [operator] -> Replayed;
    /// Gives a node jobs to do, each under a lease.
    LeaseJobs POST "/v1/nodes/{node}/leases" on node by [agent] -> Leases;
    /// Says of leased jobs how each is going, which renews its lease, or how it ended.
    ReportJobs POST "/v1/nodes/{node}/reports" on node by [agent] -> Reports;
    /// Lists the queues: one for each service and class of its jobs.
    ListQueues GET "/v1/queues" on platform by [operator] lists Queue;
    /// Shows a queue, with what waits in it by name and version.
    GetQueue GET "/v1/queues/{service}/{class}" on service by [operator] -> QueueDetail;
    /// Pauses a queue or lets it go on, closes or opens its gate, drains or limits it. What is left
    /// out stays as it is.
    SetQueue PUT "/v1/queues/{service}/{class}" on service by [operator] -> Queue;
    /// Keeps what a release says of its jobs, unless it is refused; nothing else changes.
    PutJobs PUT "/v1/services/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Makes a release the one whose jobs can be queued; it is not refused.
    PromoteJobs PUT "/v1/services/{service}" on service by [releases] -> Empty;
    /// Says how many jobs of a service wait, by name and version.
    CountWaiting GET "/v1/services/{service}/waiting" on service by [releases] -> WaitingJobs;
    /// Forgets a release that another component has refused.
    DropJobs DELETE "/v1/services/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Begins to count usage anew, after the database was put back from a backup: billing knows
    /// more than it remembers. What waits to be told is dropped, for it was told before.
    BeginUsage POST "/v1/usage" on platform by [operator] -> UsageBegun;
    /// Says of instances whose they are, and whether their jobs may run.
    PutInstances PUT "/v1/instances" on platform by [configurator] -> UnknownReleases;
}

/// How many jobs can be queued, leased or reported at once.
pub const BATCH_MAX: usize = 1_000;
/// How long a payload may be, as JSON.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;
/// How long the jobs that are leased at once may be, payloads and commands together; a single one may
/// be longer.
pub const LEASES_BYTES_MAX: usize = 4 << 20;
/// How long a result may be, as JSON.
pub const RESULT_BYTES_MAX: usize = 64 << 10;

/// Queues a command of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunCommand {
    /// Whose instance it is.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// A program that the manifest names, and its arguments: 1 to 100 words, each at most 4,000
    /// characters long.
    pub command: Vec<String>,
}

/// Queues jobs of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnqueueJobs {
    /// Whose instance it is.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// What to do, 1 to 1,000.
    pub jobs: Vec<NewJob>,
}

/// Queues jobs of an instance of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnqueueServiceJobs {
    /// Which service.
    pub service: Name,
    /// Which of its instances.
    pub instance: InstanceId,
    /// What to do, 1 to 1,000.
    pub jobs: Vec<NewJob>,
}

/// Shows a job of an instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetServiceJob {
    /// Which service.
    pub service: Name,
    /// Which of its instances.
    pub instance: InstanceId,
    /// Which job.
    pub job: JobId,
}

/// Takes a job of an instance of a service back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelServiceJob {
    /// Which service.
    pub service: Name,
    /// Which of its instances.
    pub instance: InstanceId,
    /// Which job.
    pub job: JobId,
}

/// A job to queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// What to run: a name under `[jobs]` of the service's manifest.
    pub name: String,
    /// What its command reads on standard input, at most 256 KiB.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    /// The version that the payload is written for; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Of an instance's jobs the one with the highest priority comes first, -1,000 to 1,000; the
    /// manifest's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// For how long it waits before it is due, at most a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u32>,
    /// From when on it is due, instead of a delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// What keeps it from being queued twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
    /// Jobs of the same instance that must have succeeded before, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<JobId>,
    /// How often it is tried at most, 1 to 100; the manifest's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// For how long it may run before it is stopped, at most a day; the manifest's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

/// What keeps a job from being queued twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unique {
    /// Jobs of an instance with the same name and key are one, 1 to 200 characters.
    pub key: String,
    /// For how long they are.
    pub until: Until,
}

/// How long a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Until the job is begun.
    Started,
    /// Until the job has ended.
    Ended,
    /// For so many seconds after it was queued, at most a year.
    Seconds(u32),
}

/// What was queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enqueued {
    /// One id for each, in the order of the request; that of the job that was there already where a
    /// key said so.
    pub jobs: Vec<JobId>,
}

/// Queues a job of an instance's set-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutJob {
    /// Its id, chosen by the caller.
    pub job: JobId,
    /// Whose instance it is for.
    pub account: AccountId,
    /// For which instance.
    pub instance: InstanceId,
    /// Of which service.
    pub service: Name,
    /// The release that does it, and no other.
    pub release: Digest,
    /// `migrate`, `seed` or `check`, as the release says.
    pub name: String,
    /// The job that must have succeeded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<JobId>,
    /// How often it is tried; as the release says if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

/// Asks how many jobs of an instance run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuietInstance {
    /// Which instance.
    pub instance: InstanceId,
    /// Whether they are to be stopped.
    pub stop: bool,
}

/// How many jobs of an instance run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StillRunning {
    /// So many; more are not begun.
    pub running: u64,
}

/// Drops the jobs of a set-up of which nothing has been begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WithdrawSetup {
    /// Whose set-up.
    pub instance: InstanceId,
    /// Its jobs.
    pub jobs: Vec<JobId>,
}

/// How far a job is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for the jobs before it.
    Blocked,
    /// It came while its queue's gate was closed, and waits for it to open.
    Held,
    /// It is not due yet.
    Delayed,
    /// It waits for a worker.
    Ready,
    /// It waits for a release: none that there is accepts its version.
    Stranded,
    /// A worker has it.
    Running,
    /// It is done.
    Succeeded,
    /// It was tried as often as it may be, or cannot succeed, or the job before it failed.
    Failed,
    /// It was taken back.
    Cancelled,
    /// Its instance ended before it was done.
    Dropped,
    /// It changed with the release that its instance moved to, and can be put back for
    /// [`ASIDE_DAYS`].
    SetAside,
}

impl JobState {
    /// Whether nothing more becomes of it.
    pub const fn has_ended(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Dropped | Self::SetAside
        )
    }

    /// Whether no worker has it, and one may yet.
    pub const fn waits(self) -> bool {
        !self.has_ended() && !matches!(self, Self::Running)
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its id.
    pub job: JobId,
    /// Whose instance it is for.
    pub account: AccountId,
    /// For which instance.
    pub instance: InstanceId,
    /// Of which service.
    pub service: Name,
    /// In which of the service's queues.
    pub class: String,
    /// What it is called.
    pub name: String,
    /// The version that its payload is written for.
    pub version: u32,
    /// Of an instance's jobs the one with the highest priority comes first.
    pub priority: i32,
    /// How far it is.
    pub state: JobState,
    /// From when on it is due.
    pub not_before: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// How often it is tried at most.
    pub attempts_max: u32,
    /// How many of these attempts were lost with the machine that made them; they do not count
    /// against it, unless they are ten.
    #[serde(default)]
    pub lost: u32,
    /// How far its last attempt says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Why it failed, was cancelled or was dropped, or why its last attempt did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it waits for; only told of a job that is asked for by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What its command reads; only told of a job that is asked for by itself, and in lists of those
    /// that were set aside, up to 4 MiB in all.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    /// What it came to; only told of a job that is asked for by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The end of what it printed, at most 8 KiB.
    pub output: String,
    /// When it was queued.
    pub created: Timestamp,
    /// When its last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The node that has or had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The release whose command its last attempt ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
}

/// How far a job says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// How much of it is done, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What it is doing, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Shows a job of any instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetJob {
    /// Which one.
    pub job: JobId,
}

/// Shows a job of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetInstanceJob {
    /// Whose instance it is.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// Which job.
    pub job: JobId,
}

/// Takes a job back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelJob {
    /// Whose instance it is.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// Which job.
    pub job: JobId,
}

/// Tries a job again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayJob {
    /// Whose instance it is.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// Which job.
    pub job: JobId,
}

/// Tries jobs of a queue again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayJobs {
    /// Of which service.
    pub service: Name,
    /// In which of its queues.
    pub class: String,
    /// Only of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those that were set aside, instead of those that failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub set_aside: bool,
    /// How many at most, 1 to 1,000; 1,000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// How many jobs are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// So many; if it is the limit, there may be more.
    pub replayed: u32,
}

/// Begins to count usage anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BeginUsage {}

/// Usage is counted anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageBegun {
    /// Under which number.
    pub epoch: u64,
    /// How many events waited to be told, and are dropped.
    pub dropped: u64,
}
