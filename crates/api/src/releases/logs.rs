//! What processes print, read from where they run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, InstanceId, Name, NodeId, ReplicaId};

/// So many lines are read at most when nothing was read before.
pub const LOG_LINES_MAX: u32 = 1_000;
/// A part of a log is at most this many bytes.
pub const LOG_BYTES_MAX: usize = 64 << 10;

/// Reads what an instance's processes print, from where they run now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadInstanceLogs {
    /// Whose.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// Of this process only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The last so many lines of each replica, at most [`LOG_LINES_MAX`]; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Only what was printed since: `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Reads what the processes of a service print that serve all its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadServiceLogs {
    /// Which service.
    pub service: Name,
    /// Of this process only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The last so many lines of each replica, at most [`LOG_LINES_MAX`]; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Only what was printed since: `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What processes have printed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Logs {
    /// Of each replica.
    pub parts: Vec<LogPart>,
    /// With which to ask for what comes after.
    pub next: String,
}

/// What one replica has printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogPart {
    /// Which replica.
    pub replica: ReplicaId,
    /// Of which process.
    pub process: String,
    /// Which of the process's replicas.
    pub index: u32,
    /// Whole lines, at most 64 KiB, without secrets and control characters.
    pub text: String,
    /// How far it was read.
    pub place: LogPlace,
}

/// A place in what a replica prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogPlace {
    /// The start that prints.
    pub start: u32,
    /// The number of the file.
    pub file: u64,
    /// How many of its bytes were read.
    pub offset: u64,
}

/// What somebody wants to read, as a node is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogWish {
    /// With which number to answer.
    pub wish: u64,
    /// Of which service's processes.
    pub service: Name,
    /// Of which instance's; of those that serve all instances if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Of this process only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The last so many lines of what was not read before.
    pub lines: u32,
    /// How far each replica's was read.
    #[serde(default)]
    pub after: BTreeMap<ReplicaId, LogPlace>,
}

/// Tells what a node's processes have printed, since somebody wants to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutLogs {
    /// Which node.
    pub node: NodeId,
    /// Whose wish it answers.
    pub wish: u64,
    /// What was printed.
    pub parts: Vec<LogPart>,
}
