//! Where it is known whom a host belongs to.

use std::{collections::HashMap, fmt, sync::Arc};

use types::Host;

use crate::{Error, Tenant, platform::Platform};

/// A source of tenants. What answers over a network is one more variant here; the cache does not
/// see the difference.
pub(crate) enum Source {
    /// These and no others.
    Fixed(HashMap<Host, Arc<Tenant>>),
    /// One for every host.
    Alone(Arc<Tenant>),
    /// Whoever the platform names.
    Platform(Box<Platform>),
}

impl Source {
    pub(crate) async fn ask(&self, host: &Host) -> Result<Option<Arc<Tenant>>, Error> {
        match self {
            Self::Fixed(tenants) => Ok(tenants.get(host).cloned()),
            Self::Alone(tenant) => Ok(Some(tenant.clone())),
            Self::Platform(platform) => Ok(platform.ask(host).await?.map(Arc::new)),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(tenants) => write!(f, "{} fixed", tenants.len()),
            Self::Alone(_) => f.write_str("alone"),
            Self::Platform(platform) => write!(f, "asked from {}", platform.url()),
        }
    }
}
