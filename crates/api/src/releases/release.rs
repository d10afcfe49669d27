//! A release: how it is published, and how far it is.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Digest, Name, Principal, Timestamp};

/// Publishes a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishRelease {
    /// Of which service: the manifest's name.
    pub service: Name,
    /// The package, which was stored before.
    pub digest: Digest,
    /// `mandate.toml` as it is in the package.
    pub manifest: String,
    /// `prices.toml` as it is in the package.
    pub prices: String,
    /// The publisher's Ed25519 public key, 64 hexadecimal digits. That of a service's first release
    /// is trusted from then on; any other one must be trusted before.
    pub public_key: String,
    /// The key's signature of [`signed_text`], 128 hexadecimal digits.
    pub signature: String,
    /// Where the files are from, such as `REPO#BRANCH@COMMIT`; at most 500 characters. It is shown,
    /// and not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What a publisher signs: the service and the package's digest, with a prefix that no other
/// signature of Mandate begins with.
pub fn signed_text(service: &Name, digest: &Digest) -> String {
    format!("mandate-release-v1\n{service}\n{digest}\n")
}

/// How far a release is with the other components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleasePhase {
    /// Everybody is being asked; nothing has changed.
    Announcing,
    /// Everybody has agreed: it can be promoted as soon as the nodes have it ready.
    Staged,
    /// Somebody refused it, and nothing has changed; the release says why.
    Failed,
}

/// An immutable package of a service's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Its package.
    pub digest: Digest,
    /// Of which service.
    pub service: Name,
    /// How far it is.
    pub phase: ReleasePhase,
    /// Who signed it.
    pub public_key: String,
    /// The publisher's signature.
    pub signature: String,
    /// Where its files are from, as its publisher says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it was published, the last time.
    pub created: Timestamp,
    /// Who published it then; absent if that was before it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_by: Option<Principal>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether it is the current one: that of new instances, to which the others move.
    #[serde(default)]
    pub current: bool,
    /// Whether there are jobs that no newer one can do, for which nodes keep it.
    #[serde(default)]
    pub does_old_jobs: bool,
    /// Whether its package was deleted, since nobody needed it. Published again it is there again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub collected: bool,
    /// How it is on the nodes.
    #[serde(default)]
    pub on_nodes: OnNodes,
}

/// Has nodes keep releases that only can do some jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeepReleases {
    /// Of which service.
    pub service: Name,
    /// Which ones, at most 100; all others are not kept for that.
    pub releases: BTreeSet<Digest>,
}

/// What the living nodes say of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnNodes {
    /// How many nodes live.
    pub nodes: u32,
    /// How many of them have it ready.
    pub ready: u32,
    /// How many of them cannot have it.
    pub failed: u32,
    /// How many replicas of it should run.
    pub replicas: u32,
    /// How many replicas of it are healthy.
    pub healthy: u32,
    /// What a node says that cannot have it or run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
