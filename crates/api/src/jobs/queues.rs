//! Queues, and what is in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Name, Timestamp};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// They are queued.
    #[default]
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
