//! How instances come from one release to another.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Digest, InstanceId, Name, Timestamp};

use crate::jobs::Workers;

/// Keeps an instance on its release, or lets it move again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetFreeze {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
    /// Until when no rollout moves it, at most 90 days from now; absent lets it move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Has instances served by another release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveInstances {
    /// Of which service.
    pub service: Name,
    /// By which release.
    pub release: Digest,
    /// Which ones, at most 500, each with the moment since which it is to move, which tells one attempt
    /// from another: one that failed is tried again if it is to move since another moment.
    pub instances: BTreeMap<InstanceId, Timestamp>,
    /// What becomes of their jobs.
    #[serde(default)]
    pub workers: Workers,
    /// Whether a database that is too large to be copied is migrated itself.
    #[serde(default)]
    pub without_snapshot: bool,
}

/// Has instances turn back that are on their way and can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnBack {
    /// Of which service.
    pub service: Name,
    /// Which ones, at most 500.
    pub instances: BTreeSet<InstanceId>,
}

/// How far instances are that are to move. All others have moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moves {
    /// Their databases are being migrated; ask again.
    pub moving: BTreeSet<InstanceId>,
    /// They are served as before, and why.
    pub failed: BTreeMap<InstanceId, String>,
}

/// Asks for how long instances of a service were kept closed when they moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetClosedTime {
    /// Of which service.
    pub service: Name,
}

/// For how long instances were kept closed when they moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClosedTime {
    /// From the moment since which requests waited until they were answered again: the longest of the
    /// last 20 at most, in milliseconds. Absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_millis: Option<u64>,
}

/// Says that nothing is under way for instances whose requests wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutQuiet {
    /// The gateway's name, as a follower of this component's feed.
    pub gateway: String,
    /// Which ones.
    pub instances: BTreeSet<InstanceId>,
}

/// How an instance moved from one release to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastMove {
    /// From which one.
    pub from: Digest,
    /// To which one.
    pub to: Digest,
    /// When that began.
    pub began: Timestamp,
    /// When it had moved, or was served as before again; absent while it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// For how long requests waited, in milliseconds.
    pub held_millis: u64,
    /// For how long after that they were answered that it is closed, in milliseconds.
    pub closed_millis: u64,
    /// Why it is served as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is different for an instance while its database is migrated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moving {
    /// Whether requests wait, and after [`HOLD_SECONDS`] are answered that it is closed.
    pub held: bool,
    /// The releases whose processes it has meanwhile, if it has its own.
    pub runs: BTreeSet<Digest>,
}

/// For how long requests wait for an instance that moves, in seconds.
pub const HOLD_SECONDS: u32 = 10;
