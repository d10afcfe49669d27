//! What all requests share.

use std::{net::IpAddr, sync::Arc};

use api::{Client, Problem};
use chassis::Guard;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit};
use types::{Clock, Host, Site};

use crate::{
    Config, Error,
    answer::Body,
    copies::{Fleet, Routes},
    journal::Journal,
    phases,
    proxies::Proxies,
    replicas::Replicas,
    uploads::Uploads,
    visit::Visit,
};

/// So many of our own pages may wait for a component at the same time.
const DESKS: usize = 32;
/// So many requests may wait for a replica to start at the same time.
const BENCH: usize = 1_000;

pub(crate) struct Front {
    pub(crate) name: String,
    pub(crate) domain: Host,
    pub(crate) site: Site,
    pub(crate) proxies: Proxies,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: Client,
    pub(crate) guard: Guard,
    pub(crate) platform: axum::Router,
    pub(crate) routes: Routes,
    pub(crate) fleet: Fleet,
    pub(crate) journal: Arc<Journal>,
    pub(crate) replicas: Replicas,
    pub(crate) uploads: Uploads,
    desks: Semaphore,
    bench: Semaphore,
}

impl Front {
    pub(crate) fn open(config: Config) -> Result<Self, Error> {
        let domain = config.domain.parse().map_err(|_| Error::Domain(config.domain.clone()))?;
        let folder = config.data.join("gateway").join(&config.name);
        let journal = Journal::open(&folder, config.clock.now())
            .map_err(|cause| Error::Journal { folder, cause })?;
        Ok(Self {
            name: config.name,
            domain,
            site: config.site,
            proxies: Proxies::new(&config.proxies),
            clock: config.clock,
            client: config.client,
            guard: config.guard,
            platform: config.platform,
            routes: Routes::default(),
            fleet: Fleet::default(),
            journal: Arc::new(journal),
            replicas: Replicas::new(),
            uploads: Uploads::default(),
            desks: Semaphore::new(DESKS),
            bench: Semaphore::new(BENCH),
        })
    }

    /// A place to ask a component from: strangers can call our own pages as often as they like,
    /// and must not bring the components down with them.
    pub(crate) fn desk(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let busy = |_| Problem::unavailable("too many requests at the moment; try again", 1);
        self.desks.try_acquire().map_err(busy)
    }

    /// A place to wait for a replica at, if one is free.
    pub(crate) fn bench(&self) -> Option<SemaphorePermit<'_>> {
        self.bench.try_acquire().ok()
    }

    /// Where the console is.
    pub(crate) fn console_url(&self) -> String {
        format!("{}://console.{}{}/", self.site.scheme(), self.domain, self.site.port_suffix())
    }

    /// Answers one request; `doubtful` says that its body has two ends.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        peer: IpAddr,
        request: Request<Incoming>,
        doubtful: bool,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let whence = self.proxies.whence(peer, &head.headers);
        let is_https = whence.is_https.unwrap_or(self.site.is_https());
        let visit = Visit::new(whence.address, is_https, self.clock.now(), head);
        phases::pass(self, visit, doubtful, body).await
    }
}
