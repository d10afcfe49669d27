//! Where a replica listens, and how it fares.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};

use http::{Uri, uri};

/// A running process that can answer.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Its name in the feed.
    pub(crate) key: Arc<str>,
    /// Where it listens.
    pub(crate) authority: uri::Authority,
    pub(super) address: SocketAddr,
    pub(super) uri: Uri,
    pub(super) in_flight: AtomicUsize,
    /// Until when it comes last, in milliseconds since this process began.
    pub(super) shunned: AtomicI64,
    /// Nobody has heard of its node for a while: it is asked if no other can be.
    pub(super) silent: AtomicBool,
}

impl Endpoint {
    /// An endpoint at `address`, if that is a socket's.
    pub(crate) fn new(key: &str, address: &str) -> Option<Self> {
        let authority: uri::Authority = address.parse().ok()?;
        let uri = Uri::builder().scheme("http").authority(authority.clone());
        let (address, uri) = (address.parse().ok()?, uri.path_and_query("/").build().ok()?);
        let (in_flight, shunned) = (AtomicUsize::default(), AtomicI64::default());
        let silent = AtomicBool::default();
        Some(Self { key: key.into(), authority, address, uri, in_flight, shunned, silent })
    }

    /// Says whether its node is silent.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// Whether it listens there.
    pub(crate) fn is_at(&self, address: &str) -> bool {
        self.authority.as_str() == address
    }
}

/// A request that an endpoint is busy with.
pub(crate) struct Busy(Arc<Endpoint>);

impl Busy {
    /// Counts a request until this is dropped.
    pub(crate) fn new(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(endpoint))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket() {
        for bad in ["", "localhost:80", "127.0.0.1", "evil.example:80", "127.0.0.1:80/x"] {
            assert!(Endpoint::new("a", bad).is_none(), "{bad}");
        }
    }
}
