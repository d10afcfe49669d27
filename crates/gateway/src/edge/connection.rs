//! One connection of a visitor, and the requests on it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};
use tokio::net::TcpStream;

use super::{
    client_stream::ClientStream,
    framing::{Ambiguity, Framing},
    limits::Slot,
};
use crate::{
    phases::{self, visit::Visit},
    render::{self, Body},
    state::State,
};

/// How long a connection may take for the head of a request, also when it waits for the next one.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 100;
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// A connection that was taken.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) slot: Arc<Slot>,
}

/// Answers what comes on a connection until it ends.
pub(super) async fn serve(state: Arc<State>, accepted: Accepted, watcher: Watcher) {
    let Accepted { stream, peer, slot } = accepted;
    // Small answers must not wait for the other side's acknowledgement.
    let _ = stream.set_nodelay(true);
    let ambiguity = Ambiguity::default();
    let framing = Framing::new(ambiguity.clone());
    let number = AtomicU64::new(0);
    let service = service_fn(move |request: Request<Incoming>| {
        let (state, slot) = (Arc::clone(&state), Arc::clone(&slot));
        let ambiguous = ambiguity.is_about(number.fetch_add(1, Ordering::Relaxed) + 1);
        // A task of its own: a visitor who leaves after having asked does not undo what the
        // application does, nor its being counted. It keeps its slot until it is done.
        let answering = tokio::spawn(async move {
            let answer = answer(&state, peer, request, ambiguous).await;
            drop(slot);
            answer
        });
        async move { Ok::<_, Infallible>(answering.await.unwrap_or_else(|_| render::broken())) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who says that nothing more will be asked still waits for the answer.
        .half_close(true)
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(ClientStream::new(stream, framing)), service);
    if let Err(cause) = watcher.watch(connection).await {
        tracing::debug!(%peer, %cause, "a connection broke off");
    }
}

/// Answers one request; `ambiguous` says that its body has two ends.
async fn answer(
    state: &Arc<State>,
    peer: SocketAddr,
    request: Request<Incoming>,
    ambiguous: bool,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let whence = state.proxies.whence(peer.ip(), &head.headers);
    let is_https = whence.is_https.unwrap_or(state.site.is_https());
    let visit = Visit::new(whence.address, is_https, state.clock.now(), head);
    phases::pass(state, visit, ambiguous, body).await
}
