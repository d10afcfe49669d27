//! Nodes: what each is, what runs where, and how one is emptied.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, InstanceId, Name, NodeId, Timestamp};

use super::{Isolation, ReleaseReport, ReplicaReport};
use crate::{
    feed,
    labels::{LABELS_MAX, Labels, is_label},
};

/// What a machine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// What distinguishes it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// How much memory its instances may be promised together, in bytes; any amount if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// How many thousandths of a processor they may be promised; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
}

impl Machine {
    /// What is wrong with it, as a sentence.
    pub fn fault(&self) -> Option<String> {
        if self.labels.len() > LABELS_MAX {
            return Some(format!("a node has at most {LABELS_MAX} labels"));
        }
        let wrong = self.labels.iter().flat_map(|(name, value)| [name, value]);
        let wrong = wrong.into_iter().find(|text| !is_label(text))?;
        let wrong: String = wrong.chars().take(60).collect();
        Some(format!(
            "`{wrong}` cannot stand in a label: write letters, digits, `-`, `_`, `.`, `/`"
        ))
    }

    /// Whether it has these labels.
    pub fn has(&self, labels: &Labels) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }
}

/// A machine that is a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its id.
    pub node: NodeId,
    /// What it is called.
    pub name: Name,
    /// When it was last heard of.
    pub seen: Timestamp,
    /// Whether that is recent.
    pub alive: bool,
    /// What it has.
    pub releases: Vec<ReleaseReport>,
    /// What it runs.
    pub replicas: Vec<ReplicaReport>,
    /// How what it runs is kept apart, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What it says of itself.
    #[serde(default)]
    pub machine: Machine,
    /// What is promised to the instances that are placed there.
    #[serde(default)]
    pub promised: Promised,
    /// How far it is emptied, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Where it gives packages to other nodes, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares_at: Option<SocketAddr>,
}

/// What instances are promised by their sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Promised {
    /// How many they are.
    pub instances: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Thousandths of a processor.
    pub cpu: u64,
}

/// A node that is emptied: it gets nothing new, and what can move runs elsewhere soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {
    /// Since when.
    pub since: Timestamp,
    /// When it is to be empty.
    pub until: Timestamp,
    /// How many instances are still there that can move.
    pub left: u32,
    /// What is waited for, if they do not move at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Those that stay, because what they have is there: a SQLite database, or volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<InstanceId>,
}

/// Empties a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrainNode {
    /// Which node.
    pub node: NodeId,
    /// In how many seconds it is to be empty, 1 to 86,400. Nothing is ended by force after that; it
    /// is said.
    pub deadline_seconds: u32,
}

/// Lets a node have instances again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefillNode {
    /// Which node.
    pub node: NodeId,
}

/// Where an instance's processes and jobs run, as the feed carries it. Who gives anything of an
/// instance to a node asks this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placement {
    /// Which instance.
    pub instance: InstanceId,
    /// Whose.
    pub account: AccountId,
    /// Of which service.
    pub service: Name,
    /// On which node; if absent, on each that runs the service for all its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// Where it ran before, until it is healthy there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<NodeId>,
}

impl feed::Document for Placement {
    const COMPONENT: &'static str = "releases";
    const TOPIC: &'static str = "placement";
    fn key(&self) -> String {
        self.instance.to_string()
    }
}

/// What a node runs for all instances, as the feed carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeServices {
    /// Which node.
    pub node: NodeId,
    /// What it is called.
    pub name: Name,
    /// The services whose processes serve all their instances.
    pub services: BTreeSet<Name>,
    /// Whether it is emptied and begins no jobs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drains: bool,
}

impl feed::Document for NodeServices {
    const COMPONENT: &'static str = "releases";
    const TOPIC: &'static str = "node";
    fn key(&self) -> String {
        self.node.to_string()
    }
}
