//! The keys that are trusted to sign releases of a service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Name, Principal, Timestamp};

/// What is said of a key is at most so long.
pub const COMMENT_CHARS_MAX: usize = 200;
/// A service has at most so many keys, with those that were taken back.
pub const KEYS_MAX: usize = 100;

/// Trusts a key to sign releases of a service, also one that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustKey {
    /// Of which service, which was published before.
    pub service: Name,
    /// The Ed25519 public key, 64 hexadecimal digits.
    pub public_key: String,
    /// Whose it is; at most 200 characters.
    #[serde(default)]
    pub comment: String,
}

/// Takes a key back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DistrustKey {
    /// Of which service.
    pub service: Name,
    /// Which key, 64 hexadecimal digits.
    pub public_key: String,
    /// Also if the current release or one that instances are on is signed by it. Those go on until
    /// they are replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A key that is or was trusted to sign releases of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceKey {
    /// Of which service.
    pub service: Name,
    /// The Ed25519 public key, 64 hexadecimal digits.
    pub public_key: String,
    /// Whose it is.
    pub comment: String,
    /// Since when it is trusted.
    pub added: Timestamp,
    /// Who said so; nobody if it signed the first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_by: Option<Principal>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<Timestamp>,
    /// Who took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back_by: Option<Principal>,
}
