//! One instance, as the service that serves it needs to see it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use types::{Host, InstanceId, Secret};

use crate::{Error, Vars};

/// One instance of the service: a customer's own copy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tenant {
    /// Which instance it is.
    pub instance: InstanceId,
    /// The host name that it answers to.
    pub host: Host,
    /// Where its data is, with its credentials.
    pub database_url: Secret,
    /// The modules that its customer has taken.
    #[serde(default)]
    pub modules: BTreeSet<String>,
    /// What its customer entered at set-up, by the name of the field.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What its pages' addresses begin with, as visitors see them, without a final slash.
    #[serde(default)]
    pub public_url: String,
}

const SETTING: &str = "SETUP_";

impl Tenant {
    /// Whether the customer has taken `module`.
    pub fn has(&self, module: &str) -> bool {
        self.modules.contains(module)
    }

    /// The tenant that the environment of the process describes: `DATABASE_URL`, `PUBLIC_URL`,
    /// `MODULES` (names with commas between) and `SETUP_<FIELD>` for each setting.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_vars(&crate::vars())
    }

    pub(crate) fn from_vars(vars: &Vars) -> Result<Self, Error> {
        let text = |name: &str| vars.get(name).map(String::as_str).unwrap_or_default();
        let database_url = text("DATABASE_URL");
        if database_url.is_empty() {
            return Err(Error::Environment(
                "no database is named: set `DATABASE_URL`, such as `sqlite:forum.db`, \
                 or `MANDATE_TENANCY_URL` to serve many instances"
                    .into(),
            ));
        }
        let public_url = text("PUBLIC_URL").trim_end_matches('/');
        let host = host_of(public_url).unwrap_or_else(|| {
            "localhost".parse().expect("the text is a host name as it stands here")
        });
        let modules = text("MODULES").split([',', ' ']).filter(|name| !name.is_empty());
        let settings = vars.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix(SETTING)?.to_ascii_lowercase(), value.clone()))
        });
        Ok(Self {
            instance: InstanceId::named(&[database_url]),
            host,
            modules: modules.map(str::to_owned).collect(),
            settings: settings.collect(),
            public_url: public_url.to_owned(),
            database_url: Secret::new(database_url),
        })
    }
}

fn host_of(url: &str) -> Option<Host> {
    let url: http::Uri = url.parse().ok()?;
    Host::from_header(url.host()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(table: &[(&str, &str)]) -> Result<Tenant, Error> {
        let vars = table.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Tenant::from_vars(&vars)
    }

    #[test]
    fn the_environment_describes_one_tenant() {
        let tenant = tenant(&[
            ("DATABASE_URL", "sqlite:forum.db"),
            ("PUBLIC_URL", "http://Bakery.localhost:8080/"),
            ("MODULES", "polls, search"),
            ("SETUP_ADMIN_EMAIL", "ada@example.com"),
        ])
        .unwrap();
        assert_eq!(tenant.host.as_str(), "bakery.localhost");
        assert_eq!(tenant.public_url, "http://Bakery.localhost:8080");
        assert!(tenant.has("polls") && tenant.has("search") && !tenant.has("badges"));
        assert_eq!(tenant.settings["admin_email"], "ada@example.com");
        assert!(!format!("{tenant:?}").contains("forum.db"), "the address holds a password");
    }

    #[test]
    fn without_a_database_it_says_what_to_set() {
        let error = tenant(&[("PUBLIC_URL", "http://a.localhost")]).unwrap_err();
        assert!(error.to_string().contains("set `DATABASE_URL`"), "{error}");
    }
}
