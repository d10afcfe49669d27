//! What is wrong with a file that a person wrote, said so that the person can mend it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The file's name, as it was given.
    pub file: String,
    /// The line, from 1 on.
    pub line: u32,
    /// The dotted key, `modules.badges.requires`; a list's tables count from 1, `routes[2].match`.
    /// Empty if the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub mend: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key, problem, mend } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(f, "{file}:{line}: {key}{colon}{problem}; {mend}")
    }
}

/// Everything that is wrong in a file, in the order of its lines; at least one fault, at most 100.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if position == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A list for a sentence: `` `polls`, `search` ``.
pub(crate) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Text of a stranger, fit for a message: short and without control characters.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What to write instead of `word`: the one of `known` that it is a slip of, or any of them.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    let slips = (word.chars().count() / 3).clamp(1, 3);
    let word: String = word.chars().take(80).collect();
    let near = known.iter().map(|name| (strsim::osa_distance(&word, name), *name)).min();
    match near {
        None => "remove it".to_owned(),
        Some((slip, name)) if slip <= slips => format!("did you mean `{name}`?"),
        Some(_) => choice(known),
    }
}

/// What can be written where only some words can.
pub(crate) fn choice(known: &[&str]) -> String {
    match known {
        [] => "remove it".to_owned(),
        [only] => format!("write `{only}`"),
        _ if known.len() <= 12 => format!("write one of {}", quoted(known.iter().copied())),
        _ => format!("write one of {} and more", quoted(known[..12].iter().copied())),
    }
}
