//! Rollouts: how a service gets from one release to another.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Digest, Name, NodeId, Principal, Timestamp};

/// Makes a release the current one: a rollout begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromoteRelease {
    /// Of which service.
    pub service: Name,
    /// Which release: one that is staged, or that was current before.
    pub release: Digest,
    /// The one that it replaces. If another one is current, nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
    /// The nodes that need not be ready.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without: BTreeSet<NodeId>,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Everybody is told that the release is the current one.
    Announcing,
    /// Instances move to it, each as soon as what serves it there is healthy.
    Moving,
    /// Every instance is on it.
    Done,
    /// The release before it was promoted again before every instance was on it.
    RolledBack,
}

impl RolloutState {
    /// Whether nothing more happens.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::RolledBack)
    }
}

/// The way of a service from one release to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollout {
    /// Of which service.
    pub service: Name,
    /// Its number: the rollouts of a service count up.
    pub number: u64,
    /// The release that was current before; none at the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Digest>,
    /// The release that is current from then on.
    pub to: Digest,
    /// How far it is.
    pub state: RolloutState,
    /// Who promoted the release; nobody if it was the service's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
    /// When.
    pub begun: Timestamp,
    /// When it had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How many instances are still on another release; of one that has ended, none are counted.
    #[serde(default)]
    pub left: u32,
}
