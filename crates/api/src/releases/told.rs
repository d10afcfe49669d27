//! What the gateways are told: releases, and the replicas that serve them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Digest, InstanceId, Name, NodeId, ReplicaId};

use super::{is_web, web};
use crate::{feed, manifest::Manifest};

/// A release that instances are on, or may be, as the feed carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRelease {
    /// The service.
    pub service: Name,
    /// Its release.
    pub digest: Digest,
    /// What it is.
    pub manifest: Manifest,
}

impl feed::Document for ServiceRelease {
    const COMPONENT: &'static str = "releases";
    const TOPIC: &'static str = "service";
    fn key(&self) -> String {
        self.digest.to_string()
    }
}

/// A healthy replica, as the feed carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaAddress {
    /// Which replica.
    pub replica: ReplicaId,
    /// Of which service.
    pub service: Name,
    /// Of which release; absent in what was told before that was said, which is sent nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
    /// For which instance, if it serves only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Whose that instance is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Which process it is: which requests it is sent.
    #[serde(default = "web", skip_serializing_if = "is_web")]
    pub process: String,
    /// On which node.
    pub node: NodeId,
    /// Where it listens, `127.0.0.1:41234`.
    pub address: String,
    /// Whether its node is silent. It is asked if no other can be: that nobody hears of an agent
    /// does not mean that its replicas do not answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// Whether some gateway may not have had an answer from it. Each asks it, and says so
    /// ([`PutReached`]); no instance is led there for the first time before all have. It is sent
    /// requests all the same by those that are led there already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven: bool,
}

/// Says which replicas have answered a gateway that were not proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutReached {
    /// The gateway's name, as a follower of this component's feed.
    pub gateway: String,
    /// Which ones, each with where it answered; at most [`REACHED_MAX`].
    pub replicas: BTreeMap<ReplicaId, String>,
}

/// So many replicas are named at once.
pub const REACHED_MAX: usize = 500;

impl feed::Document for ReplicaAddress {
    const COMPONENT: &'static str = "releases";
    const TOPIC: &'static str = "replica";
    fn key(&self) -> String {
        self.replica.to_string()
    }
}
