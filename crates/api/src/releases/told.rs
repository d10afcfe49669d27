//! What the gateways are told: releases, and the replicas that serve them.

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
}

impl feed::Document for ReplicaAddress {
    const COMPONENT: &'static str = "releases";
    const TOPIC: &'static str = "replica";
    fn key(&self) -> String {
        self.replica.to_string()
    }
}
