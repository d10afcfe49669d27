//! Every operation of every component, described once, and the client derived from it.
//!
//! One file per component, and at its top a table: name, method, path, the resource it acts on, who
//! may ask, and the reply. From a line of that table follow the server's route, the client's call,
//! the permission (`billing.getBill`), its entry in the catalogue, the OpenAPI document and a row in
//! the test of who may do what. The mechanics are in [`http`]; the two files that a service's
//! author writes, `mandate.toml` and `prices.toml`, are in [`manifest`] and [`prices`].

#[macro_use]
pub mod feed;
#[macro_use]
pub mod http;

pub mod access;
pub mod billing;
pub mod configurator;
pub mod identity;
pub mod jobs;
pub mod labels;
pub mod manifest;
pub mod names;
pub mod package;
pub mod prices;
pub mod provider;
pub mod releases;

use email_address::{EmailAddress, Options};

pub use http::{
    Asker, Client, Credentials, Empty, Kind, Listing, Operation, Problem, Remote, Transport,
    TransportError,
};

/// Whether `text` is an e-mail address by the rules of RFC 5321 and RFC 5322, without a name before
/// it and without an IP address for a host. `operator@localhost` is one.
pub fn is_email(text: &str) -> bool {
    let options = Options::default().without_display_text().without_domain_literal();
    EmailAddress::parse_with_options(text, options).is_ok()
}

/// The components that have operations, in the order in which they are shown.
pub const COMPONENTS: [&str; 7] =
    ["identity", "access", "provider", "configurator", "billing", "jobs", "releases"];

/// Everybody who speaks for the platform with a key of their own.
pub const PRINCIPALS: [&str; 9] = [
    "identity",
    "access",
    "provider",
    "configurator",
    "billing",
    "jobs",
    "releases",
    "gateway",
    "console",
];

/// The components and what else speaks for the platform: no published service may take such a name,
/// and their hosts are nobody's instance.
pub const RESERVED: [&str; 13] = [
    "identity",
    "access",
    "provider",
    "configurator",
    "billing",
    "jobs",
    "releases",
    "gateway",
    "console",
    "agent",
    "platform",
    "api",
    "mandate",
];

/// The kinds of resources and principals, and the roles: what grants and policies are written in.
const KINDS: [&str; 9] =
    ["account", "instance", "node", "service", "user", "visitor", "owner", "operator", "customer"];

/// Whether no published service may have this name.
pub fn is_reserved(service: &str) -> bool {
    RESERVED.contains(&service) || KINDS.contains(&service)
}

/// Every operation of every component.
pub fn listings() -> Vec<Listing> {
    [
        identity::listings(),
        access::listings(),
        provider::listings(),
        configurator::listings(),
        billing::listings(),
        jobs::listings(),
        releases::listings(),
    ]
    .concat()
}
