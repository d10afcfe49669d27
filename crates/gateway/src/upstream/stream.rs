//! A connection to an endpoint, watched for what became of the requests on it.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A connection, on which an answer is heard also when the request cannot be sent to its end: an
/// application that refuses a body answers, and closes without having read it.
pub(super) struct Stream {
    socket: TcpStream,
    /// Set as soon as anything comes.
    heard: Rc<Cell<bool>>,
    /// The other side takes nothing any more. It may have said why; that is still to be read.
    is_deaf: bool,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, heard: Rc<Cell<bool>>) -> Self {
        Self { socket, heard, is_deaf: false }
    }

    /// The connection, unwatched.
    pub(super) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// Nothing comes of writing to the deaf; what is read ends the connection.
    fn written<T>(&mut self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.is_deaf |= matches!(outcome, Poll::Ready(Err(_)));
        if self.is_deaf { Poll::Pending } else { outcome }
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
            self.heard.set(true);
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
        let outcome = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
