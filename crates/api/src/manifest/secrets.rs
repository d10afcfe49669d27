//! What is made by chance for each instance: the table `[secrets]`.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    Tenancy,
    environment::{DATABASE_URL, is_reserved},
    reader::{SECRET_NAMES, Table},
};

/// The table `[secrets]`.
pub(super) fn secrets(root: &Table<'_>, tenancy: Option<Tenancy>) -> BTreeMap<String, SecretForm> {
    let Some(table) = root.table("secrets") else { return BTreeMap::new() };
    if tenancy == Some(Tenancy::Shared) {
        table.fault(
            "are an instance's own, and one process serves all instances",
            "remove it, or write `tenancy = \"dedicated\"`",
        );
    }
    let read = table.named(&SECRET_NAMES).into_iter().filter_map(|(name, node)| {
        if is_reserved(&name) || name == DATABASE_URL {
            return node.fail(format!("`{name}` is set by the platform"), "choose another name");
        }
        Some((name, node.parse()?))
    });
    read.collect()
}

/// The most and the fewest characters or bytes of a secret.
const SECRET_LENGTHS: RangeInclusive<u32> = 16..=512;

/// What a secret is made of by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretForm {
    /// How many.
    length: u32,
    alphabet: Alphabet,
}

/// What a secret is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Digits from 0 to f.
    Hex,
    /// Bytes, written in base64 with its padding.
    Base64,
    /// Letters from A to Z and from a to z.
    Letters,
}

const ALPHABETS: [(&str, Alphabet); 3] =
    [("hex", Alphabet::Hex), ("base64", Alphabet::Base64), ("letters", Alphabet::Letters)];

/// Why a text says nothing that a secret could be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret cannot be made of this: write how long it is, from {} to {}, and `hex`, `base64` or \
     `letters`, such as `64 hex`",
    SECRET_LENGTHS.start(),
    SECRET_LENGTHS.end()
)]
pub struct SecretFormError;

impl SecretForm {
    /// How many digits, letters or, for base64, bytes.
    pub const fn length(self) -> u32 {
        self.length
    }

    /// What it is written with.
    pub const fn alphabet(self) -> Alphabet {
        self.alphabet
    }
}

impl FromStr for SecretForm {
    type Err = SecretFormError;

    fn from_str(text: &str) -> Result<Self, SecretFormError> {
        let (number, word) = text.split_once(' ').ok_or(SecretFormError)?;
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let length = number.parse().ok().filter(|length| plain && SECRET_LENGTHS.contains(length));
        let alphabet = ALPHABETS.iter().find(|(known, _)| *known == word);
        match (length, alphabet) {
            (Some(length), Some((_, alphabet))) => Ok(Self { length, alphabet: *alphabet }),
            _ => Err(SecretFormError),
        }
    }
}

impl fmt::Display for SecretForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = ALPHABETS.iter().find(|(_, known)| *known == self.alphabet);
        write!(f, "{} {}", self.length, word.map_or("", |(word, _)| *word))
    }
}

impl TryFrom<String> for SecretForm {
    type Error = SecretFormError;

    fn try_from(text: String) -> Result<Self, SecretFormError> {
        text.parse()
    }
}

impl From<SecretForm> for String {
    fn from(form: SecretForm) -> Self {
        form.to_string()
    }
}

impl JsonSchema for SecretForm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretForm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
