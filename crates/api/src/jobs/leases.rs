//! What a node is given to do, and what it says of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::{AccountId, Digest, InstanceId, JobId, Name, NodeId};

use super::Progress;

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
    /// How many jobs it can take now, at most 1,000. It is given fewer if they would be longer than
    /// 4 MiB together.
    pub slots: u32,
    /// How many jobs of set-ups it can take beside those: nobody waits for an instance because of
    /// other people's long jobs.
    #[serde(default)]
    pub setup_slots: u32,
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
