//! What nodes said, and what was said of them, as it is kept.

use std::collections::BTreeMap;

use api::releases::{Isolation, Machine, ReleaseReport, ReplicaAddress, ReplicaReport, Sharing};
use types::{Name, NodeId, ReplicaId, Timestamp};

/// What a node said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) name: Name,
    pub(crate) releases: Vec<ReleaseReport>,
    pub(crate) replicas: Vec<ReplicaReport>,
    pub(crate) isolation: Option<Isolation>,
    /// What the machine is; nothing if its agent is from before that was told.
    pub(crate) machine: Machine,
    /// What it gives to other nodes.
    pub(crate) sharing: Option<Sharing>,
}

/// Since when a node is emptied, and when it is to be empty.
pub(crate) type Draining = (Timestamp, Timestamp);

/// A node as it is written down.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) node: NodeId,
    pub(crate) name: Name,
    pub(crate) seen: Timestamp,
    pub(crate) machine: Machine,
    pub(crate) draining: Option<Draining>,
}

/// The replicas of a node that the gateways were told of; without what that was, where it was told
/// before that was written down.
pub(crate) type Told = BTreeMap<ReplicaId, Option<ReplicaAddress>>;
