//! A connection to an endpoint, watched for what became of the requests on it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http::Extensions;
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection, HttpConnector},
    },
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tower::{ServiceExt as _, util::MapResponse};

/// Makes connections.
pub(super) type Connector = MapResponse<HttpConnector, fn(TokioIo<TcpStream>) -> TokioIo<Stream>>;

pub(super) fn connector(connector: HttpConnector) -> Connector {
    connector.map_response(|stream| TokioIo::new(Stream::new(stream.into_inner())))
}

/// A connection, on which an answer is heard also when the request cannot be sent to its end: an
/// application that refuses a body answers, and closes without having read it.
pub(super) struct Stream {
    socket: TcpStream,
    past: Past,
    /// The other side takes nothing any more. It may have said why; that is still to be read.
    deaf: bool,
}

/// What a connection was used for, as far as a request without a body can tell.
#[derive(Debug, Clone, Default)]
struct Past(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    requests: AtomicUsize,
    answering: AtomicBool,
}

/// Whether a request failed since its connection, which had been used before, was closed before
/// any byte of an answer came. Applications close connections that they think idle, and a request
/// may be on its way then.
pub(super) fn was_stale(cause: &legacy::Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = cause.connect_info() {
        connected.get_extras(&mut extensions);
    }
    extensions.get::<Past>().is_some_and(|Past(seen)| {
        seen.requests.load(Ordering::Relaxed) > 1 && !seen.answering.load(Ordering::Relaxed)
    })
}

impl Stream {
    fn new(socket: TcpStream) -> Self {
        Self { socket, past: Past::default(), deaf: false }
    }

    fn writes(&mut self) {
        let Past(seen) = &self.past;
        let first = seen.requests.load(Ordering::Relaxed) == 0;
        if first || seen.answering.swap(false, Ordering::Relaxed) {
            seen.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nothing comes of writing to the deaf; what is read ends the connection.
    fn written<T>(&mut self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.deaf |= matches!(outcome, Poll::Ready(Err(_)));
        if self.deaf { Poll::Pending } else { outcome }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.past.clone())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.past.0.answering.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes();
        let outcome = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes();
        let outcome = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.socket).poll_flush(cx);
        self.written(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
