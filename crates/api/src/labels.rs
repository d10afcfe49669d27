//! Labels: what distinguishes machines, and what services ask of them.

use std::collections::BTreeMap;

/// So many labels a node may have, and a manifest ask for.
pub const LABELS_MAX: usize = 20;

/// Labels by their names: `disk` is `ssd`.
pub type Labels = BTreeMap<String, String>;

/// Whether a text can be the name or the value of a label.
pub fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    (1..=60).contains(&text.len()) && text.bytes().all(plain)
}
