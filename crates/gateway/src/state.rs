//! What all requests share.

use std::sync::Arc;

use api::{Client, Operation, Problem};
use chassis::Guard;
use http::HeaderValue;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
};
use types::{Clock, Host, Site};

use crate::{
    Config, Error,
    access_log::Log,
    request::{proxies::Proxies, uploads::Uploads},
    routes::{hosts::Hosts, releases::Releases},
    upstream::balancer::Balancer,
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
    /// Whether this gateway speaks TLS with visitors itself.
    pub(crate) speaks_tls: bool,
    /// What browsers are told of TLS: for how long it will be spoken here (RFC 6797).
    pub(crate) hsts: Option<HeaderValue>,
    /// Where the console is.
    pub(crate) console: String,
    pub(crate) proxies: Proxies,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: Client,
    pub(crate) guard: Guard,
    pub(crate) platform: axum::Router,
    /// Where what is not a request to an instance is worked on.
    pub(crate) rest: Handle,
    pub(crate) hosts: Hosts,
    pub(crate) releases: Releases,
    pub(crate) journal: Arc<Journal>,
    pub(crate) access_log: Option<Arc<Log>>,
    pub(crate) balancer: Balancer,
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
        let access_log = config.access_log.as_deref().map(|path| {
            Log::open(path)
                .map(Arc::new)
                .map_err(|cause| Error::AccessLog { path: path.to_owned(), cause })
        });
        let hsts = config.hsts.map(|time| format!("max-age={}", time.as_secs()));
        let hsts = hsts.and_then(|text| HeaderValue::try_from(text).ok());
        let (scheme, port) = (config.site.scheme(), config.site.port_suffix());
        Ok(Self {
            name: config.name,
            console: format!("{scheme}://console.{domain}{port}/"),
            domain,
            site: config.site,
            speaks_tls: config.tls.is_some(),
            hsts,
            proxies: Proxies::new(&config.proxies),
            clock: config.clock,
            client: config.client,
            guard: config.guard,
            platform: config.platform,
            rest: Handle::current(),
            hosts: Hosts::default(),
            releases: Releases::default(),
            journal: Arc::new(journal),
            access_log: access_log.transpose()?,
            balancer: Balancer::new(),
            uploads: Uploads::default(),
            calls: Semaphore::new(CALLS_MAX),
            queue: Semaphore::new(QUEUED_MAX),
        })
    }

    /// Calls a component. Strangers can call our own pages as often as they like, and must not bring
    /// the components down with them: so many calls are under way at once, and others are refused.
    pub(crate) async fn call<O: Operation>(&self, operation: O) -> Result<O::Reply, Problem> {
        let client = self.client.clone();
        self.working(async move { client.call(operation).await }).await
    }

    /// Calls a component such that calling it again with the same `key` does nothing twice.
    pub(crate) async fn call_once<O: Operation>(
        &self,
        operation: O,
        key: String,
    ) -> Result<O::Reply, Problem> {
        let client = self.client.clone();
        self.working(async move { client.call_once(operation, &key).await }).await
    }

    async fn working<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = |_| Problem::unavailable("too many requests at the moment; try again", 1);
        let _permit = self.calls.try_acquire().map_err(busy)?;
        self.rest.spawn(call).await.unwrap_or_else(|_| Err(Problem::internal()))
    }

    /// Lets a request wait, unless enough of them do.
    pub(crate) fn may_wait(&self) -> Option<SemaphorePermit<'_>> {
        self.queue.try_acquire().ok()
    }
}
