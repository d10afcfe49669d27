//! Ids that say what they name: a TypeID, which is a prefix and a UUIDv7 (`acct_01h…`).
//!
//! Source of the text form: the TypeID specification, version 0.3. Ids sort by creation, and the
//! wrong kind is a compile error inside and a refused request outside. Every prefix stands here.

use std::{fmt, marker::PhantomData, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::Timestamp;

/// What an id names.
pub trait Kind: 'static {
    /// The text before the underscore.
    const PREFIX: &'static str;
    /// What it is in words, such as `an order`.
    const NAME: &'static str;
}

/// The id of a `K`.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

macro_rules! kinds {
    ($($name:literal $kind:ident $prefix:literal $alias:ident;)+) => {$(
        #[doc = concat!("Marks the id of ", $name, ".")]
        #[derive(Debug)]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $name;
        }
        #[doc = concat!("The id of ", $name, ", `", $prefix, "_…`.")]
        pub type $alias = Id<$kind>;
    )+};
}

kinds! {
    "an account" Account "acct" AccountId;
    "a bill" Bill "bill" BillId;
    "a grant" Grant "grnt" GrantId;
    "an instance" Instance "inst" InstanceId;
    "a job" Job "job" JobId;
    "a node" Node "node" NodeId;
    "an order" Order "ordr" OrderId;
    "a replica" Replica "repl" ReplicaId;
    "a request" Request "req" RequestId;
    "a session" Session "sess" SessionId;
    "a user" User "user" UserId;
}

/// Why a text is not the id that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {name}'s id: it should look like `{prefix}_01h455vb4pex5vsknk084sn02q`")]
pub struct IdError {
    text: String,
    name: &'static str,
    prefix: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_LENGTH: usize = 26;

impl<K: Kind> Id<K> {
    /// A new id, made at `now`; two made in the same millisecond differ by chance (74 bits).
    pub fn new(now: Timestamp) -> Self {
        let seconds = u64::try_from(now.micros().div_euclid(1_000_000)).unwrap_or(0);
        let nanos = u32::try_from(now.micros().rem_euclid(1_000_000) * 1_000).unwrap_or(0);
        let moment = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
        Self::of(Uuid::new_v7(moment))
    }

    /// The id that `parts` always give: for a thing that must exist once however often it is made.
    pub fn named(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Self::of(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The id that `parts` always give at that moment, among the ids that are made then.
    pub fn named_at(moment: Timestamp, parts: &[&str]) -> Self {
        let millis = u64::try_from(moment.micros().div_euclid(1_000)).unwrap_or(0);
        let micros = moment.micros().to_string();
        let all: Vec<&str> = parts.iter().copied().chain([micros.as_str()]).collect();
        let mut rest = [0; 10];
        rest.copy_from_slice(&Self::named(&all).uuid.as_bytes()[..10]);
        Self::of(uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid())
    }

    const fn of(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.uuid.as_u128();
        let mut suffix = [0; SUFFIX_LENGTH];
        for (place, letter) in suffix.iter_mut().rev().enumerate() {
            *letter = ALPHABET[(bits >> (5 * place) & 31) as usize];
        }
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        f.write_str(str::from_utf8(&suffix).map_err(|_| fmt::Error)?)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || {
            let text = text.chars().take(80).collect();
            IdError { text, name: K::NAME, prefix: K::PREFIX }
        };
        let suffix = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|suffix| suffix.len() == SUFFIX_LENGTH)
            .ok_or_else(wrong)?;
        let mut bits: u128 = 0;
        for (place, letter) in suffix.bytes().enumerate() {
            let value = ALPHABET.iter().position(|a| *a == letter).ok_or_else(wrong)?;
            // 26 letters hold 130 bits, so the first may only use its lowest three.
            if place == 0 && value > 7 {
                return Err(wrong());
            }
            bits = bits << 5 | value as u128;
        }
        Ok(Self::of(Uuid::from_u128(bits)))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl<K: Kind> JsonSchema for Id<K> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Id_{}", K::PREFIX).into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = format!("^{}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", K::PREFIX);
        json_schema!({ "type": "string", "pattern": pattern })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification_reads_back() {
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
        let id = Id::<User>::of(uuid);
        assert_eq!(id.to_string(), "user_01h455vb4pex5vsknk084sn02q");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn the_wrong_kind_is_refused() {
        let user = UserId::new(Timestamp::from_micros(1_700_000_000_000_000));
        let error = user.to_string().parse::<AccountId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "`{user}` is not an account's id: it should look like \
                 `acct_01h455vb4pex5vsknk084sn02q`"
            )
        );
        let error = "bread".parse::<OrderId>().unwrap_err();
        assert!(error.to_string().starts_with("`bread` is not an order's id"), "{error}");
    }

    #[test]
    fn ids_sort_by_creation() {
        let early = JobId::new(Timestamp::from_micros(1_700_000_000_000_000));
        let late = JobId::new(Timestamp::from_micros(1_700_000_000_002_000));
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn an_id_that_is_named_at_a_moment_stands_among_those_of_then() {
        let at = |millis: i64| Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000);
        let tick = JobId::named_at(at(2), &["a"]);
        assert_eq!(tick, JobId::named_at(at(2), &["a"]));
        assert_ne!(tick, JobId::named_at(at(2), &["b"]));
        assert!(JobId::new(at(1)) < tick && tick < JobId::new(at(3)));
    }

    #[test]
    fn named_ids_tell_their_parts_apart() {
        assert_eq!(JobId::named(&["a", "b"]), JobId::named(&["a", "b"]));
        assert_ne!(JobId::named(&["ab", ""]), JobId::named(&["a", "b"]));
    }

    proptest! {
        #[test]
        fn every_id_reads_back(bits: u128) {
            let id = Id::<Order>::of(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            drop(text.parse::<OrderId>());
        }
    }
}
