//! jobs: what must still be done, by whom, and whether it was.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::{AccountId, Cron, Digest, InstanceId, JobId, Name, NodeId, Page, TimeZone, Timestamp};

use crate::{
    Empty,
    manifest::{JobCommand, Manifest, Missed},
};

operations! { "jobs":
    /// Queues jobs of an instance, all of them or none. Each runs a command that the service's
    /// manifest names.
    EnqueueJobs POST "/v1/accounts/{account}/instances/{instance}/jobs" on instance by [customer, operator, instance, gateway] -> Enqueued;
    /// Queues jobs of an instance of a service, for the processes that serve all of them.
    EnqueueServiceJobs POST "/v1/services/{service}/instances/{instance}/jobs" on service by [service] -> Enqueued;
    /// Shows a job of an instance of a service, to the same.
    GetServiceJob GET "/v1/services/{service}/instances/{instance}/jobs/{job}" on service by [service] -> Job;
    /// Takes a job of an instance of a service back, for the same.
    CancelServiceJob PUT "/v1/services/{service}/instances/{instance}/jobs/{job}/cancellation" on service by [service] -> Job;
    /// Queues a job of an instance's set-up, once however often it is put.
    PutJob PUT "/v1/jobs/{job}" on platform by [configurator] -> Job;
    /// Shows a job of any instance.
    GetJob GET "/v1/jobs/{job}" on platform by [configurator, operator] -> Job;
    /// Shows a job of an instance.
    GetInstanceJob GET "/v1/accounts/{account}/instances/{instance}/jobs/{job}" on instance by [customer, operator, instance, gateway] -> Job;
    /// Lists the jobs of an instance, newest first.
    ListInstanceJobs GET "/v1/accounts/{account}/instances/{instance}/jobs" on instance by [customer, operator, instance] -> Page<Job>;
    /// Lists jobs, newest first.
    ListJobs GET "/v1/jobs" on platform by [operator] -> Page<Job>;
    /// Takes a job back. One that runs is stopped by its node, and ends as cancelled unless it ends
    /// by itself before that.
    CancelJob PUT "/v1/accounts/{account}/instances/{instance}/jobs/{job}/cancellation" on instance by [customer, operator, instance] -> Job;
    /// Tries a job again that failed, was cancelled or was dropped.
    ReplayJob POST "/v1/accounts/{account}/instances/{instance}/jobs/{job}/replays" on instance by [customer, operator] -> Job;
    /// Tries jobs of a queue again that failed for good.
    ReplayJobs POST "/v1/queues/{service}/{class}/replays" on service by [operator] -> Replayed;
    /// Gives a node jobs to do, each under a lease.
    LeaseJobs POST "/v1/nodes/{node}/leases" on node by [agent] -> Leases;
    /// Says of leased jobs how each is going, which renews its lease, or how it ended.
    ReportJobs POST "/v1/nodes/{node}/reports" on node by [agent] -> Reports;
    /// Lists the queues: one for each service and class of its jobs.
    ListQueues GET "/v1/queues" on platform by [operator] -> Page<Queue>;
    /// Shows a queue, with what waits in it by name and version.
    GetQueue GET "/v1/queues/{service}/{class}" on service by [operator] -> QueueDetail;
    /// Pauses a queue or lets it go on, closes or opens its gate, drains or limits it. What is left
    /// out stays as it is.
    SetQueue PUT "/v1/queues/{service}/{class}" on service by [operator] -> Queue;
    /// Keeps what a release says of its jobs, unless it is refused; nothing else changes.
    PutJobs PUT "/v1/services/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Makes a release the one whose jobs can be queued; it is not refused.
    PromoteJobs PUT "/v1/services/{service}" on service by [releases] -> Empty;
    /// Forgets a release that another component has refused.
    DropJobs DELETE "/v1/services/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Begins to count usage anew, after the database was put back from a backup: billing knows
    /// more than it remembers. What waits to be told is dropped, for it was told before.
    BeginUsage POST "/v1/usage" on platform by [operator] -> UsageBegun;
    /// Says of an instance whose it is, and whether its jobs may run.
    PutInstance PUT "/v1/accounts/{account}/instances/{instance}" on instance by [configurator] -> Empty;
}

/// How many jobs can be queued, leased or reported at once.
pub const BATCH_MAX: usize = 1_000;
/// How long a payload may be, as JSON.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;
/// How long a result may be, as JSON.
pub const RESULT_BYTES_MAX: usize = 64 << 10;
/// The class of jobs whose manifest names none.
pub const DEFAULT_CLASS: &str = "default";
/// The class of the jobs of set-ups, which run the current release's `migrate` and `seed` before an
/// instance is open.
pub const SETUP_CLASS: &str = "setup";

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
    /// `migrate` or `seed`, whose command is the current release's.
    pub name: String,
    /// The job that must have succeeded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<JobId>,
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
}

impl JobState {
    /// Whether nothing more becomes of it.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Dropped)
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
    /// What its command reads; only told of a job that is asked for by itself.
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

/// Lists the jobs of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListInstanceJobs {
    /// Whose.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// Only these, `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Only of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 500; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Lists jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListJobs {
    /// Only of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Name>,
    /// Only these, `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Only of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 500; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
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

/// Asks for jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseJobs {
    /// Which node asks.
    pub node: NodeId,
    /// The releases that are ready on it.
    pub releases: Vec<Digest>,
    /// The jobs that it has. Any other that was leased to it is waiting again: the node was killed,
    /// or the answer with that lease never came. So a node asks one question at a time.
    #[serde(default)]
    pub holding: Vec<JobId>,
    /// How many jobs it can take now, at most 1,000.
    pub slots: u32,
    /// How long to wait for one before answering with none, at most 5 000.
    pub wait_millis: u32,
}

/// Jobs to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Leases {
    /// Each is this node's until its lease expires.
    pub leases: Vec<Lease>,
}

/// A job to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// Which job.
    pub job: JobId,
    /// Whose instance it is for.
    pub account: AccountId,
    /// With which instance's environment it runs.
    pub instance: InstanceId,
    /// Of which service.
    pub service: Name,
    /// Which of the releases that are ready on the node does it.
    pub release: Digest,
    /// What it is called.
    pub name: String,
    /// The version that its payload is written for.
    pub version: u32,
    /// Which attempt this is, from 1 on.
    pub attempt: u32,
    /// The fencing token: a report that shows an older one changes nothing.
    pub token: u64,
    /// What the command reads on standard input.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    /// What must be run first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// The command, run in the release's folder with the instance's environment.
    pub command: Vec<String>,
    /// For how long it may run before it is stopped, the upgrade included.
    pub timeout_seconds: u32,
    /// For how long the lease holds without a report.
    pub lease_seconds: u32,
}

/// What turns an older payload into the one that a command understands: it is run before the
/// command, reads the payload on standard input and prints the other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrade {
    /// The command, run as the job's own.
    pub command: Vec<String>,
    /// The version that the payload is written for.
    pub from: u32,
    /// The version that the job's command reads.
    pub to: u32,
}

/// Says how leased jobs are going.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportJobs {
    /// Which node has them.
    pub node: NodeId,
    /// One for each job, 1 to 1,000.
    pub reports: Vec<Report>,
}

/// How a leased job is going.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Which job.
    pub job: JobId,
    /// The lease's fencing token.
    pub token: u64,
    /// How it is going.
    pub outcome: Outcome,
    /// The end of what it printed, at most 8 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// How far it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What it came to, if it succeeded; at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it did not succeed, in a sentence, `the command ended with status 4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How a leased job is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It runs; keep the lease.
    Running,
    /// Its command ended with status 0.
    Succeeded,
    /// Its command ended with status 75 or another that means nothing else, by a signal, or was
    /// stopped at its limit: it is worth another attempt.
    Again,
    /// Its command ended with status 65 or 78, or cannot be run: no other attempt would succeed.
    Refused,
    /// The node stopped it for reasons of its own; the attempt does not count.
    Lost,
    /// It was stopped because it was cancelled.
    Cancelled,
}

/// What became of reports, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reports {
    /// One for each.
    pub reports: Vec<Reported>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    /// Which job.
    pub job: JobId,
    /// What the node is to do.
    pub verdict: Verdict,
}

/// What a node is to do after a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The report was taken: go on, or forget the job if it has ended.
    Kept,
    /// The report was taken, and the job is to be stopped: it was cancelled.
    Stop,
    /// The report changed nothing, for the job is not this node's under this token: stop what runs
    /// and report nothing more.
    Lost,
}

/// Lists the queues.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListQueues {
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 500; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Where a service's jobs of one class wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// Whose jobs.
    pub service: Name,
    /// Which of them.
    pub class: String,
    /// Whether none is handed out.
    pub paused: bool,
    /// What becomes of new jobs.
    pub gate: Gate,
    /// How many may run at once; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How far it is emptied, if it is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// How many jobs there are.
    pub jobs: Counts,
}

/// How many jobs there are, by how far they are; those that succeeded are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Wait for the jobs before them.
    pub blocked: u64,
    /// Wait for the gate.
    pub held: u64,
    /// Are not due yet.
    pub delayed: u64,
    /// Wait for a worker.
    pub ready: u64,
    /// Wait for a release that accepts them.
    pub stranded: u64,
    /// Run.
    pub running: u64,
    /// Have failed for good and can be replayed.
    pub failed: u64,
}

impl Counts {
    /// How many wait, for whatever.
    pub const fn waiting(&self) -> u64 {
        self.blocked + self.held + self.delayed + self.ready + self.stranded
    }
}

/// What becomes of new jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// They are queued.
    Open,
    /// They are refused, to be sent again later.
    Refuse,
    /// They are kept until the gate opens.
    Hold,
}

/// How far a queue is emptied: nothing but what is held is to be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {
    /// Since when.
    pub began: Timestamp,
    /// Until when it should be empty.
    pub deadline: Timestamp,
    /// How many jobs must still be done.
    pub left: u64,
    /// How far it is.
    pub state: DrainState,
}

/// How far a queue is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrainState {
    /// Jobs are left, and there is time.
    Draining,
    /// No job is left.
    Empty,
    /// Jobs are left, and the time is over.
    Overdue,
}

/// Shows a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetQueue {
    /// Whose jobs.
    pub service: Name,
    /// Which of them.
    pub class: String,
}

/// A queue, with what waits in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueDetail {
    /// The queue.
    pub queue: Queue,
    /// What its jobs are, by name and version.
    pub kinds: Vec<QueuedKind>,
}

/// The jobs of a queue with the same name and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueuedKind {
    /// What they are called.
    pub name: String,
    /// The version that their payloads are written for.
    pub version: u32,
    /// How many there are.
    pub jobs: Counts,
}

/// Changes a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetQueue {
    /// Whose jobs.
    pub service: Name,
    /// Which of them.
    pub class: String,
    /// Whether none is to be handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// What is to become of new jobs; opening it ends a drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Within how many seconds the queue is to be empty, at most a day; its gate must be closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<u32>,
    /// How many may run at once; 0 for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl SetQueue {
    /// A change of nothing, to be filled in.
    pub fn of(service: Name, class: &str) -> Self {
        let class = class.to_owned();
        Self { service, class, paused: None, gate: None, drain_seconds: None, concurrency: None }
    }
}

/// Keeps what a release says of its jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutJobs {
    /// Which service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// What its workers can run, by name.
    pub jobs: BTreeMap<String, JobDefinition>,
}

/// What a release says of jobs of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobDefinition {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The version of the payloads that the command reads.
    pub version: u32,
    /// The oldest version that it accepts.
    pub oldest: u32,
    /// The newest version that it accepts.
    pub newest: u32,
    /// What turns an older payload into one of `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Vec<String>>,
    /// In which of the service's queues they wait.
    pub class: String,
    /// Their priority, unless one says otherwise.
    pub priority: i32,
    /// How often one is tried, unless it says otherwise.
    pub attempts: u32,
    /// The pause after the first attempt; doubled after each.
    pub backoff_seconds: u32,
    /// For how long one may run, unless it says otherwise.
    pub timeout_seconds: u32,
    /// How many of all instances may run at once; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How many of one instance may run at once; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_per_instance: Option<u32>,
    /// For how long one that has ended is kept, with what it printed and came to.
    pub keep_seconds: u32,
    /// When one is queued for each instance by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

/// When a job is queued by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// The five fields of cron.
    pub cron: Cron,
    /// By whose clocks.
    pub time_zone: TimeZone,
    /// What becomes of a run whose time has passed.
    pub missed: Missed,
    /// Instances' runs begin within so long, each always at the same moment of it.
    pub spread_seconds: u32,
}

impl PutJobs {
    /// What a manifest says of its jobs, those of the set-up included.
    pub fn of(service: Name, release: Digest, manifest: &Manifest) -> Self {
        let of_setup = |name: &str, command: &Option<Vec<String>>| {
            let command = command.clone()?;
            let class = SETUP_CLASS.to_owned();
            // A migration of a large database takes its time.
            let timeout_seconds = 900;
            let definition = JobDefinition::of(command);
            Some((name.to_owned(), JobDefinition { class, timeout_seconds, ..definition }))
        };
        let database = manifest.database.iter();
        let setup = database.flat_map(|database| {
            [of_setup("migrate", &database.migrate), of_setup("seed", &database.seed)]
        });
        let jobs = manifest.jobs.iter();
        let jobs = jobs.map(|(name, job)| (name.clone(), JobDefinition::of_manifest(job)));
        Self { service, release, jobs: setup.flatten().chain(jobs).collect() }
    }
}

impl JobDefinition {
    /// Jobs that run `command`, and for the rest what holds unless a manifest says otherwise.
    pub fn of(command: Vec<String>) -> Self {
        Self {
            command,
            version: 1,
            oldest: 1,
            newest: 1,
            upgrade: None,
            class: DEFAULT_CLASS.to_owned(),
            priority: 0,
            attempts: 3,
            backoff_seconds: 1,
            timeout_seconds: 600,
            concurrency: None,
            concurrency_per_instance: None,
            keep_seconds: 30 * 86_400,
            schedule: None,
        }
    }

    /// What a manifest says of a job.
    pub fn of_manifest(job: &JobCommand) -> Self {
        let (oldest, newest) = job.versions().ends();
        let schedule = job.schedule.clone().map(|cron| Schedule {
            cron,
            time_zone: job.time_zone.clone(),
            missed: job.missed,
            spread_seconds: job.spread_seconds,
        });
        Self {
            command: job.command.clone(),
            version: job.version,
            oldest,
            newest,
            upgrade: job.upgrade.clone(),
            class: job.class.clone(),
            priority: job.priority,
            attempts: job.attempts,
            backoff_seconds: job.backoff_seconds,
            timeout_seconds: job.timeout_seconds,
            concurrency: job.concurrency.total,
            concurrency_per_instance: job.concurrency.instance,
            keep_seconds: job.keep_seconds,
            schedule,
        }
    }

    /// Whether a job of that version can be done.
    pub const fn accepts(&self, version: u32) -> bool {
        self.oldest <= version && version <= self.newest
    }
}

/// Makes a release the one whose jobs can be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromoteJobs {
    /// Which service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// Counts up with each promotion of the service; an older one changes nothing.
    pub turn: u64,
}

/// Forgets a release that another component has refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropJobs {
    /// Which service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
}

/// Says of an instance whose it is, and whether its jobs may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutInstance {
    /// Which instance.
    pub instance: InstanceId,
    /// Whose it is.
    pub account: AccountId,
    /// Of which service.
    pub service: Name,
    /// Whether its jobs may run.
    pub state: InstanceState,
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

/// Whether an instance's jobs may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// They may.
    Open,
    /// They wait: it is being set up, in maintenance or suspended.
    Closed,
    /// There is no such instance any more: they are dropped.
    Ended,
}
