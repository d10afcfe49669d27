//! Who acts, what they may do, and on what: the three words of every decision.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AccountId, InstanceId, Name, NodeId, UserId, as_text};

/// Why a text does not name a principal, a permission or a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: it should look like {example}")]
pub struct WhoError {
    text: String,
    what: &'static str,
    example: &'static str,
}

impl WhoError {
    fn new(text: &str, what: &'static str, example: &'static str) -> Self {
        Self { text: text.chars().take(120).collect(), what, example }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Principal {
    /// Somebody who has not said who they are.
    Visitor,
    /// A person, `user/user_…`.
    User(UserId),
    /// A component of the platform or a published service, `service/billing`.
    Service(Name),
    /// A machine's agent, `node/node_…`.
    Node(NodeId),
    /// The processes of one instance, `account/acct_…/instance/inst_…`.
    Instance(AccountId, InstanceId),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Visitor => f.write_str("visitor"),
            Self::User(id) => write!(f, "user/{id}"),
            Self::Service(name) => write!(f, "service/{name}"),
            Self::Node(id) => write!(f, "node/{id}"),
            Self::Instance(account, id) => Resource::Instance(*account, *id).fmt(f),
        }
    }
}

impl FromStr for Principal {
    type Err = WhoError;
    fn from_str(text: &str) -> Result<Self, WhoError> {
        let wrong = || WhoError::new(text, "a principal", "`user/user_01h…` or `service/billing`");
        match text.split_once('/') {
            None if text == "visitor" => Ok(Self::Visitor),
            Some(("user", id)) => id.parse().map(Self::User).map_err(|_| wrong()),
            Some(("service", name)) => name.parse().map(Self::Service).map_err(|_| wrong()),
            Some(("node", id)) => id.parse().map(Self::Node).map_err(|_| wrong()),
            Some(("account", _)) => match text.parse() {
                Ok(Resource::Instance(account, id)) => Ok(Self::Instance(account, id)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}
as_text!(Principal, WhoError);

/// On what somebody acts. A resource carries what it is in, so that nobody has to look it up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Resource {
    /// The whole installation, `platform`.
    Platform,
    /// A customer, `account/acct_…`.
    Account(AccountId),
    /// A customer's copy of a service, `account/acct_…/instance/inst_…`.
    Instance(AccountId, InstanceId),
    /// What is on offer, `service/forum`.
    Service(Name),
    /// A machine, `node/node_…`.
    Node(NodeId),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("platform"),
            Self::Account(account) => write!(f, "account/{account}"),
            Self::Instance(account, id) => write!(f, "account/{account}/instance/{id}"),
            Self::Service(name) => write!(f, "service/{name}"),
            Self::Node(id) => write!(f, "node/{id}"),
        }
    }
}

impl FromStr for Resource {
    type Err = WhoError;
    fn from_str(text: &str) -> Result<Self, WhoError> {
        let example = "`platform`, `account/acct_01h…`, `account/acct_01h…/instance/inst_01h…` or `service/forum`";
        let wrong = || WhoError::new(text, "a resource", example);
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["platform"] => Ok(Self::Platform),
            ["account", id] => id.parse().map(Self::Account).map_err(|_| wrong()),
            ["account", account, "instance", id] => match (account.parse(), id.parse()) {
                (Ok(account), Ok(id)) => Ok(Self::Instance(account, id)),
                _ => Err(wrong()),
            },
            ["service", name] => name.parse().map(Self::Service).map_err(|_| wrong()),
            ["node", id] => id.parse().map(Self::Node).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}
as_text!(Resource, WhoError);

/// Something that can be allowed: `forum.addUsers`, a service's name and a verb of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permission {
    text: String,
    dot: usize,
}

impl Permission {
    /// The name of the service that defines it.
    pub fn service(&self) -> &str {
        &self.text[..self.dot]
    }

    /// The verb after the dot.
    pub fn verb(&self) -> &str {
        &self.text[self.dot + 1..]
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Permission {
    type Err = WhoError;
    fn from_str(text: &str) -> Result<Self, WhoError> {
        let wrong = || WhoError::new(text, "a permission", "`forum.addUsers`");
        let (service, verb) = text.split_once('.').ok_or_else(wrong)?;
        service.parse::<Name>().map_err(|_| wrong())?;
        let starts = verb.starts_with(|c: char| c.is_ascii_lowercase());
        let plain = verb.bytes().all(|b| b.is_ascii_alphanumeric());
        if starts && plain && verb.len() <= 63 {
            Ok(Self { text: text.to_owned(), dot: service.len() })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
as_text!(Permission, WhoError);

/// What a grant gives: one permission, all of one service, or a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Grantable {
    /// `forum.addUsers`.
    Permission(Permission),
    /// `forum.*`: every permission of the service, also those of later releases.
    Service(Name),
    /// `owner`: what a customer may do with what is theirs.
    Owner,
    /// `operator`: what those who run the installation may do.
    Operator,
}

impl fmt::Display for Grantable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission(permission) => permission.fmt(f),
            Self::Service(name) => write!(f, "{name}.*"),
            Self::Owner => f.write_str("owner"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl FromStr for Grantable {
    type Err = WhoError;
    fn from_str(text: &str) -> Result<Self, WhoError> {
        let wrong =
            || WhoError::new(text, "something to grant", "`forum.addUsers`, `forum.*` or `owner`");
        match (text, text.strip_suffix(".*")) {
            ("owner", _) => Ok(Self::Owner),
            ("operator", _) => Ok(Self::Operator),
            (_, Some(service)) => service.parse().map(Self::Service).map_err(|_| wrong()),
            _ => text.parse().map(Self::Permission).map_err(|_| wrong()),
        }
    }
}
as_text!(Grantable, WhoError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn what_is_written_reads_back() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let account = AccountId::new(now);
        let resources = [
            Resource::Platform,
            Resource::Account(account),
            Resource::Instance(account, InstanceId::new(now)),
            Resource::Service("forum".parse().unwrap()),
            Resource::Node(NodeId::new(now)),
        ];
        for resource in resources {
            assert_eq!(resource.to_string().parse(), Ok(resource));
        }
        for given in ["forum.addUsers", "forum.*", "owner", "operator"] {
            assert_eq!(given.parse::<Grantable>().unwrap().to_string(), given);
        }
        let instance = Principal::Instance(account, InstanceId::new(now)).to_string();
        for principal in ["visitor", "service/billing", &instance] {
            assert_eq!(principal.parse::<Principal>().unwrap().to_string(), principal);
        }
        assert!(Resource::Account(account).to_string().parse::<Principal>().is_err());
    }

    #[test]
    fn what_is_not_a_permission_says_how_one_looks() {
        for bad in
            ["forum", "forum.", ".addUsers", "forum.AddUsers", "forum.add-users", "a.b.c", "*"]
        {
            let error = bad.parse::<Permission>().unwrap_err().to_string();
            assert!(error.contains("forum.addUsers"), "{bad}: {error}");
        }
    }
}
