//! jobs: what must still be done, by whom, and whether it was.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Digest, InstanceId, JobId, Name, NodeId, Page, Timestamp};

operations! { "jobs":
    /// Queues a job, once however often it is put. One that has not ended is bound to the release
    /// that it is put with last.
    PutJob PUT "/v1/jobs/{job}" on platform by [configurator] -> Job;
    /// Shows a job.
    GetJob GET "/v1/jobs/{job}" on platform by [configurator, operator] -> Job;
    /// Lists the jobs of an instance, newest first.
    ListInstanceJobs GET "/v1/accounts/{account}/instances/{instance}/jobs" on instance by [customer, operator] -> Page<Job>;
    /// Lists jobs, newest first.
    ListJobs GET "/v1/jobs" on platform by [operator] -> Page<Job>;
    /// Gives a node jobs to do, each under a lease.
    LeaseJobs POST "/v1/nodes/{node}/leases" on node by [agent] -> Leases;
    /// Says how a leased job is going, which renews the lease, or how it ended.
    ReportJob POST "/v1/nodes/{node}/jobs/{job}/reports" on node by [agent] -> Reported;
    /// Lists the queues: one for each service.
    ListQueues GET "/v1/queues" on platform by [operator] -> Page<Queue>;
    /// Pauses a queue, or lets it go on.
    SetQueue PUT "/v1/queues/{service}" on service by [operator] -> Queue;
}

/// Queues a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutJob {
    /// Its id, chosen by the caller.
    pub job: JobId,
    /// Whose instance it is for.
    pub account: AccountId,
    /// For which instance.
    pub instance: InstanceId,
    /// In which service's queue.
    pub service: Name,
    /// The release whose command is run.
    pub release: Digest,
    /// What it is called, `migrate`.
    pub name: String,
    /// Its version, from the manifest.
    pub version: u32,
    /// The command, run in the release's folder with the instance's environment.
    pub command: Vec<String>,
    /// The job that must have succeeded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<JobId>,
    /// For how long it may run before it is stopped.
    pub timeout_seconds: u32,
    /// How often it is tried at most.
    pub attempts_max: u32,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for a worker, or for the job before it.
    Queued,
    /// A worker has it.
    Running,
    /// It is done.
    Succeeded,
    /// It was tried as often as it may be, or the job before it failed.
    Failed,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its id.
    pub job: JobId,
    /// Whose instance it is for.
    pub account: AccountId,
    /// For which instance.
    pub instance: InstanceId,
    /// In which service's queue.
    pub service: Name,
    /// The release whose command is run by the next attempt.
    pub release: Digest,
    /// What it is called.
    pub name: String,
    /// How far it is.
    pub state: JobState,
    /// How often it was tried.
    pub attempts: u32,
    /// How many of these attempts were lost with the machine that made them; they do not count
    /// against it, unless they are ten.
    #[serde(default)]
    pub lost: u32,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it waits for; only told of a job that is asked for by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
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
}

/// Shows a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetJob {
    /// Which one.
    pub job: JobId,
}

/// Lists the jobs of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListInstanceJobs {
    /// Whose.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
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
    /// Only of this service's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Name>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 500; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
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
    /// How many jobs it can take now.
    pub slots: u32,
    /// How long to wait for one before answering with none, at most 5 000.
    pub wait_millis: u32,
}

/// Jobs to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leases {
    /// Each is this node's until its lease expires.
    pub leases: Vec<Lease>,
}

/// A job to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// What to do.
    pub job: Job,
    /// The fencing token: a report that shows an older one is refused.
    pub token: u64,
    /// The command, run in the release's folder with the instance's environment.
    pub command: Vec<String>,
    /// For how long it may run before it is stopped.
    pub timeout_seconds: u32,
    /// For how long the lease holds without a report.
    pub lease_seconds: u32,
}

/// How a leased job is going.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportJob {
    /// Which node has it.
    pub node: NodeId,
    /// Which job.
    pub job: JobId,
    /// The lease's fencing token.
    pub token: u64,
    /// How it is going.
    pub outcome: Outcome,
    /// The end of what it printed, at most 8 KiB.
    pub output: String,
}

/// How a leased job is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It runs; keep the lease.
    Running,
    /// Its command ended with status 0.
    Succeeded,
    /// Its command ended otherwise, or was stopped.
    Failed,
}

/// What is to become of a job after a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    /// How far it is now.
    pub state: JobState,
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

/// Where a service's jobs wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// Whose jobs.
    pub service: Name,
    /// Whether none is handed out.
    pub paused: bool,
    /// How many wait.
    pub queued: u64,
    /// How many run.
    pub running: u64,
    /// How many have failed for good.
    pub failed: u64,
}

/// Pauses a queue, or lets it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetQueue {
    /// Whose jobs.
    pub service: Name,
    /// Whether none is to be handed out.
    pub paused: bool,
}
