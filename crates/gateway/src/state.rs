//! What all requests share.

use std::sync::Arc;

use api::{Client, Problem};
use chassis::Guard;
use tokio::sync::{Semaphore, SemaphorePermit};
use types::{Clock, Host, Site};

use crate::{
    Config, Error,
    request::{proxies::Proxies, uploads::Uploads},
    routes::{hosts::Hosts, releases::Releases},
    upstream::{balancer::Balancer, connections::Connections},
    usage::journal::Journal,
};

/// So many requests may wait for a component at the same time.
const CALLS_MAX: usize = 32;
/// So many requests may wait for an endpoint, or for their instance, at the same time.
const QUEUED_MAX: usize = 1_000;

pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) domain: Host,
    pub(crate) site: Site,
    /// Where the console is.
    pub(crate) console: String,
    pub(crate) proxies: Proxies,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: Client,
    pub(crate) guard: Guard,
    pub(crate) platform: axum::Router,
    pub(crate) hosts: Hosts,
    pub(crate) releases: Releases,
    pub(crate) journal: Arc<Journal>,
    pub(crate) balancer: Balancer,
    pub(crate) connections: Connections,
    pub(crate) uploads: Uploads,
    calls: Semaphore,
    queue: Semaphore,
}

impl State {
    pub(crate) fn open(config: Config) -> Result<Self, Error> {
        let domain: Host =
            config.domain.parse().map_err(|_| Error::Domain(config.domain.clone()))?;
        let folder = config.data.join("gateway").join(&config.name);
        let journal = Journal::open(&folder, config.clock.now())
            .map_err(|cause| Error::Journal { folder, cause })?;
        let (scheme, port) = (config.site.scheme(), config.site.port_suffix());
        Ok(Self {
            name: config.name,
            console: format!("{scheme}://console.{domain}{port}/"),
            domain,
            site: config.site,
            proxies: Proxies::new(&config.proxies),
            clock: config.clock,
            client: config.client,
            guard: config.guard,
            platform: config.platform,
            hosts: Hosts::default(),
            releases: Releases::default(),
            journal: Arc::new(journal),
            balancer: Balancer::new(),
            connections: Connections::new(),
            uploads: Uploads::default(),
            calls: Semaphore::new(CALLS_MAX),
            queue: Semaphore::new(QUEUED_MAX),
        })
    }

    /// Lets a request call a component: strangers can call our own pages as often as they like, and
    /// must not bring the components down with them.
    pub(crate) fn may_call(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let busy = |_| Problem::unavailable("too many requests at the moment; try again", 1);
        self.calls.try_acquire().map_err(busy)
    }

    /// Lets a request wait, unless enough of them do.
    pub(crate) fn may_wait(&self) -> Option<SemaphorePermit<'_>> {
        self.queue.try_acquire().ok()
    }
}
