//! Packages: bytes under their digest, sent and read in parts.
//!
//! A sender asks how much is there ([`GetPackage`]), sends what follows part by part
//! ([`PutPackagePart`]), and says at the end that this was all ([`PutPackage`]). Only then are they
//! a package. Whoever was interrupted begins with the first step again, and goes on from there.
//!
//! A node may also read a package of another node that shares what it has ([`FindPackage`]): by the
//! same operation ([`GetPackagePart`]), with a ticket of the platform's in place of a token.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Digest, NodeId, Secret};

/// A package is at most this many bytes.
pub const PACKAGE_BYTES_MAX: u64 = 256 << 20;

/// A part of a package is at most this many bytes.
pub const PACKAGE_PART_BYTES_MAX: usize = 4 << 20;

/// Asks how much of a package is there: nothing of one that nobody has begun to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetPackage {
    /// The SHA-256 of its bytes.
    pub digest: Digest,
}

/// How much of a package is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageState {
    /// So many bytes from its beginning.
    pub bytes: u64,
    /// Whether it is a package: all of it is there, and its digest was checked.
    pub whole: bool,
}

/// Sends a part of a package; the body is the part, not JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutPackagePart {
    /// The SHA-256 of the package's bytes.
    pub digest: Digest,
    /// Which byte of the package is the part's first; at most as many as are there.
    #[serde(deserialize_with = "of_a_path")]
    pub offset: u64,
}

/// Reads a part of a package, as long as a part may be or until the package's end; the answer is the
/// part, not JSON, and empty after the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetPackagePart {
    /// The SHA-256 of the package's bytes.
    pub digest: Digest,
    /// Which byte of the package is the part's first.
    pub offset: u64,
}

/// Says that all parts of a package were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutPackage {
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// How many it has.
    pub bytes: u64,
}

/// What a node gives to other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sharing {
    /// Where they reach it.
    pub address: SocketAddr,
    /// Another number each time that it begins to listen. While it did not, somebody else may have
    /// listened there: what that one was shown is worth nothing any more.
    pub session: u64,
    /// The packages that it gives.
    pub packages: BTreeSet<Digest>,
}

/// Asks which other nodes give a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindPackage {
    /// Which node asks.
    pub node: NodeId,
    /// The SHA-256 of the package's bytes.
    pub digest: Digest,
}

/// Who gives a package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageSources {
    /// Nodes that have it and share it, at most [`SOURCES_MAX`], the first of which is to be asked
    /// first; none if the platform alone gives it.
    pub sources: Vec<PackageSource>,
}

/// A node that gives a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageSource {
    /// Which node.
    pub node: NodeId,
    /// Where it gives it.
    pub address: SocketAddr,
    /// What it is shown in place of a token; good for this package of this node, for a few minutes.
    pub ticket: Secret,
}

/// So many nodes are named of all that have a package.
pub const SOURCES_MAX: usize = 3;

/// How long a ticket is good for.
pub const TICKET_LIFE: Duration = Duration::from_mins(5);

/// The audience of a ticket: one package of one node, as long as that listens. It is no component's, so that a ticket is
/// worth nothing at the platform, and no token of a component is a ticket.
pub fn ticket_audience(node: NodeId, session: u64, digest: &Digest) -> String {
    format!("package {digest} of node {node} in session {session}")
}

/// A number that stands in a path comes as a text.
fn of_a_path<'de, D: serde::Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
}
