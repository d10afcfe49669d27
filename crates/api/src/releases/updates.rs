//! What a rollout is to the customer of one instance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Digest, InstanceId, Timestamp};

/// Asks what the last rollout of its service is to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetUpdate {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
}

/// What the last rollout of its service is to an instance. It says nothing of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceUpdate {
    /// The update that is planned, under way or over; absent if none concerns the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// An instance's way to another release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Update {
    /// The release that it comes to.
    pub to: Digest,
    /// How far it is.
    pub state: UpdateState,
    /// Since when it is so; of one that is planned, when it begins.
    pub at: Timestamp,
    /// Whether requests wait while its database is migrated.
    pub closes: bool,
    /// For how long requests were kept waiting or out when instances of the service were migrated
    /// last: the longest of at most 20, in milliseconds. Absent if none was, or nobody is kept out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_millis: Option<u64>,
}

/// How far an instance is with an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    /// It begins at a moment.
    Planned,
    /// Others move before it.
    Waiting,
    /// It was stopped before the instance had moved, and goes on when an operator lets it.
    Paused,
    /// The instance moves.
    Moving,
    /// The instance is on the release.
    Done,
    /// The instance could not be moved, and is served as before.
    Failed,
    /// The instance stays where it is, since an operator has said so.
    Excepted,
}
