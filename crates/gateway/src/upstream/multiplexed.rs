//! HTTP/2 with an endpoint that speaks it from the first byte on: several requests at once over one
//! connection, which a task of its own drives.

use std::rc::Rc;

use http::{HeaderValue, Request, Response, Uri, header};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, task::spawn_local, time::Instant};

use crate::request::body::Lent;

/// So much of an answer may come before it is passed on, of one and of all.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// So much of a request's body is kept that the endpoint does not take yet.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// A connection that requests share.
#[derive(Clone)]
pub(super) struct Shared {
    sender: http2::SendRequest<Lent>,
    /// Held by everybody whose answer comes over it.
    users: Rc<()>,
    /// When it was used last.
    pub(super) since: Instant,
}

impl Shared {
    pub(super) async fn new(stream: TcpStream) -> Result<Self, hyper::Error> {
        let (sender, connection) = http2::Builder::new(Here)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(KEPT_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        spawn_local(async move {
            if let Err(cause) = connection.await {
                tracing::debug!(%cause, "a connection to a replica broke off");
            }
        });
        Ok(Self { sender, users: Rc::default(), since: Instant::now() })
    }

    /// Whether requests can go over it.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whether no answer comes over it.
    pub(super) fn is_idle(&self) -> bool {
        Rc::strong_count(&self.users) == 1
    }

    /// Sends a request; answers the head of what comes back. One that was not sent is given back.
    pub(super) async fn send(
        &mut self,
        request: Request<Lent>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Lent>>> {
        self.sender.try_send_request(request).await
    }
}

/// Gives a request the form that it has in HTTP/2 (RFC 9113, 8.2.2 and 8.3.1).
pub(super) fn fit(request: &mut Request<Lent>) -> Result<(), http::Error> {
    let target = std::mem::take(request.uri_mut()).into_parts().path_and_query;
    let headers = request.headers_mut();
    headers.remove(header::TRANSFER_ENCODING);
    // It says that what stands behind an answer's body is heard, which it is.
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let host = headers.remove(header::HOST).unwrap_or(HeaderValue::from_static("localhost"));
    let uri = Uri::builder().scheme("http").authority(host.as_bytes());
    *request.uri_mut() = match target {
        Some(target) => uri.path_and_query(target).build()?,
        None => uri.path_and_query("/").build()?,
    };
    Ok(())
}

/// Runs what belongs to a connection on its thread.
#[derive(Clone, Copy)]
pub(crate) struct Here;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, work: F) {
        spawn_local(work);
    }
}
