//! Packages: bytes under their digest, sent and read in parts.
//!
//! A sender asks how much is there ([`GetPackage`]), sends what follows part by part
//! ([`PutPackagePart`]), and says at the end that this was all ([`PutPackage`]). Only then are they
//! a package. Whoever was interrupted begins with the first step again, and goes on from there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::Digest;

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

/// A number that stands in a path comes as a text.
fn of_a_path<'de, D: serde::Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
}
