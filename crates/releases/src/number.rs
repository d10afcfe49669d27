//! A number for what something is.

use types::Digest;

/// A number that looks like chance, and is always the same for the same texts.
pub(crate) fn number(parts: &[&str]) -> u64 {
    let digest = Digest::of(parts.join("\n").as_bytes());
    u64::from_str_radix(&digest.hex()[..15], 16).unwrap_or(0)
}
