//! For a service that serves many instances from one process.
//!
//! Such a service hears a host name with each request and must know whose it is: which database,
//! which modules, which settings. [`Tenants::by_host`] says so, from a cache that asks the platform
//! only when it must. A service that runs alone, with nothing but `DATABASE_URL` in its
//! environment, has one tenant that answers to every host, so the same program serves both ways.
//!
//! This room knows no component: what it asks over HTTP stands in `platform.rs`, and nothing but
//! the answer's shape ties the two together.

mod cache;
mod platform;
mod source;
mod tenant;

use std::{collections::BTreeMap, ffi::OsString, fmt, sync::Arc};

pub use tenant::Tenant;
pub use types::{Clock, Host, InstanceId, ManualClock, Secret, SystemClock, Timestamp};

use cache::Cache;
use platform::Platform;
use source::Source;

/// Why it is not known whom a host belongs to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The environment lacks something or holds something unusable.
    #[error("{0}")]
    Environment(String),
    /// The platform did not answer, or not in a way that can be understood.
    #[error("the platform does not say whom `{host}` belongs to: {reason}")]
    Unavailable {
        /// The host that was asked about.
        host: Host,
        /// What went wrong, for the log.
        reason: String,
    },
}

/// An environment: variables by their names.
pub type Vars = BTreeMap<String, String>;

/// The environment of the process, without what is not text.
fn vars() -> Vars {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Everyone whom this process serves. Clones share one cache.
#[derive(Clone)]
pub struct Tenants(Arc<Cache>);

impl Tenants {
    /// Reads the environment of the process.
    ///
    /// With `MANDATE_TENANCY_URL`, the platform is asked: `MANDATE_TENANCY_TOKEN_FILE` names the
    /// file with the token to show, `MANDATE_SERVICE` the service's own name. Otherwise
    /// `DATABASE_URL` describes the one tenant, see [`Tenant::from_env`].
    pub fn from_env() -> Result<Self, Error> {
        Self::from_vars(&vars(), Arc::new(SystemClock))
    }

    /// As [`from_env`](Self::from_env), from any environment and with any clock.
    pub fn from_vars(vars: &Vars, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let source = match vars.get("MANDATE_TENANCY_URL") {
            Some(url) => Source::Platform(Box::new(Platform::from_vars(url, vars)?)),
            None => Source::Alone(Arc::new(Tenant::from_vars(vars)?)),
        };
        Ok(Self(Arc::new(Cache::new(source, clock))))
    }

    /// Serves exactly `tenants`, each under its host.
    pub fn fixed(tenants: Vec<Tenant>) -> Self {
        let tenants = tenants.into_iter().map(|t| (t.host.clone(), Arc::new(t))).collect();
        Self(Arc::new(Cache::new(Source::Fixed(tenants), Arc::new(SystemClock))))
    }

    /// Whose `host` is; `None` if nobody's.
    ///
    /// An answer is kept for 5 seconds, that there is nobody for 1 second. While the platform does
    /// not answer, a tenant that was known is served for up to 60 seconds more.
    pub async fn by_host(&self, host: &Host) -> Result<Option<Arc<Tenant>>, Error> {
        self.0.by_host(host).await
    }

    /// Forgets what is known of `host`, so that the next request asks anew: for a listener that
    /// hears of changes as they happen.
    pub fn forget(&self, host: &Host) {
        self.0.forget(host);
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tenants").field(&self.0.source()).finish()
    }
}
