//! Names that people choose: a DNS label for things, a DNS name for hosts.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a DNS label.
    #[error(
        "`{0}` is not a name: use 1 to 63 of a-z, 0-9 and `-`, beginning with a letter and not ending with `-`"
    )]
    Name(String),
    /// Not a DNS name.
    #[error(
        "`{0}` is not a host name: use labels of a-z, 0-9 and `-` joined by dots, such as `bakery.example.com`"
    )]
    Host(String),
}

macro_rules! text_newtype {
    ($type:ident, $doc:literal, $error:ident, $valid:ident, $pattern:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                if $valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(NameError::$error(text.chars().take(80).collect()))
                }
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

text_newtype!(
    Name,
    "A name of a service, module, size, plan or queue: a DNS label, since names become hosts.",
    Name,
    is_name,
    "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
);
text_newtype!(
    Host,
    "A host name: lower case, without port or final dot, at most 253 characters.",
    Host,
    is_host,
    "^[a-z0-9.-]{1,253}$"
);

impl Host {
    /// Reads what a `Host` header carries: folds case, drops a port and one final dot.
    pub fn from_header(text: &str) -> Result<Self, NameError> {
        let name = match text.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => text,
        };
        Self::try_from(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_name(text: &str) -> bool {
    is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        for good in ["a", "forum", "my-shop2"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "2a", "ä", long.as_str()] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_header_is_folded_to_one_form() {
        for header in ["Bakery.Example.COM", "bakery.example.com:8080", "bakery.example.com."] {
            assert_eq!(Host::from_header(header).unwrap().as_str(), "bakery.example.com");
        }
        for bad in ["", "a..b", "a/b", "user@host", "[::1]", "a b", "..", "a:b:80"] {
            assert!(Host::from_header(bad).is_err(), "{bad}");
        }
    }
}
