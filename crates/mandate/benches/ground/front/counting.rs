//! The way to the components, which counts what goes it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use api::{Client, Transport, TransportError, http::Sending};
use bytes::Bytes;
use chassis::{Directory, Signer};
use http::Request;
use tokio::runtime::Handle;

/// Has the components work on threads of their own, so that what they do is not taken for the
/// gateway's work.
#[derive(Clone)]
pub(crate) struct Counting {
    directory: Directory,
    house: Handle,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    feeds: AtomicU64,
    usage: AtomicU64,
    others: AtomicU64,
}

impl Counting {
    pub(crate) fn new(directory: Directory, house: Handle) -> Self {
        Self { directory, house, counts: Arc::default() }
    }

    /// Asks as whoever signs.
    pub(crate) fn client(&self, signer: Signer) -> Client {
        Client::new(Arc::new(self.clone()), Arc::new(signer))
    }
}

impl Transport for Counting {
    fn send(&self, request: Request<Bytes>) -> Sending<'_> {
        let path = request.uri().path();
        let count = match path {
            "/billing/v1/usage" => &self.counts.usage,
            _ if path.contains("/followers/") || path.ends_with("/snapshot") => &self.counts.feeds,
            _ => &self.counts.others,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let directory = self.directory.clone();
        let sending = self.house.spawn(async move { directory.send(request).await });
        Box::pin(async move {
            let lost = |cause: tokio::task::JoinError| {
                Err(TransportError { to: "a component".into(), why: cause.to_string() })
            };
            sending.await.unwrap_or_else(lost)
        })
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [others, usage, feeds] = [&self.counts.others, &self.counts.usage, &self.counts.feeds]
            .map(|count| count.load(Ordering::Relaxed));
        write!(
            f,
            "{others} calls of other components (beside {usage} batches of usage and {feeds} \
             questions to the feeds)"
        )
    }
}
