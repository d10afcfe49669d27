//! Who has opened a connection, and what they may take for a request.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use http::Request;
use hyper::body::Incoming;

use super::limits::Slot;
use crate::phases::{visit::Visit, worker::Worker};

/// How long a connection may take for the head of a request, also when it waits for the next one.
pub(super) const HEAD_TIME_MAX: Duration = Duration::from_secs(20);
/// The longest head of a request, in bytes.
pub(super) const HEAD_BYTES_MAX: u16 = 32 << 10;

/// Who has opened a connection.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) peer: SocketAddr,
    /// Whether they speak TLS with us.
    pub(super) is_tls: bool,
    pub(super) slot: Rc<Slot>,
}

impl Client {
    /// A request that was read from them.
    pub(super) fn visit(&self, worker: &Worker, request: Request<Incoming>) -> (Visit, Incoming) {
        let (head, body) = request.into_parts();
        let state = &worker.state;
        let whence = state.proxies.whence(self.peer.ip(), &head.headers);
        // Where we do not speak TLS, whoever does stands before us.
        let usual = state.site.is_https() && !state.speaks_tls;
        let is_https = self.is_tls || whence.is_https.unwrap_or(usual);
        (Visit::new(whence.address, is_https, state.clock.now(), head), body)
    }
}
