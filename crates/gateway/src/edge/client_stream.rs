//! A connection on which nobody is waited for without end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::framing::Framing;
use crate::request::pace::Pace;

/// A visitor who is waited for so long altogether must have taken so much meanwhile. Who reads
/// nothing would otherwise hold a replica's answer, and the replica, for as long as they like.
const STALL_TIME_MAX: Duration = Duration::from_mins(1);
const STALL_BYTES_MIN: u64 = 16 << 10;
/// How long the rest of a request that was answered early is passed over, altogether and without
/// anything coming.
const LINGER_TIME_MAX: Duration = Duration::from_secs(30);
const LINGER_IDLE_MAX: Duration = Duration::from_secs(5);
const LINGER_BUFFER: usize = 16 << 10;
/// A visitor's machine that says nothing for so long, and then does not answer so many times, is gone.
const SILENT_MAX: Duration = Duration::from_mins(1);
const ASKED_AGAIN: Duration = Duration::from_secs(10);
const ASKED_MAX: u32 = 3;

/// What a visitor is connected by.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + 'static {
    fn socket(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A stream whose writes fail when the other side takes too little, whose requests are watched,
/// and whose end is heard: closing while somebody sends would take away the answer that they have
/// not read yet (RFC 9112, 9.6), so what they are still sending of a request is passed over first.
pub(super) struct ClientStream<S> {
    stream: S,
    pace: Pace,
    /// Of HTTP/1.
    framing: Option<Framing>,
    linger: Option<Linger>,
}

struct Linger {
    end: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl<S: Socket> ClientStream<S> {
    pub(super) fn new(stream: S, framing: Option<Framing>) -> Self {
        let pace = Pace::new(STALL_TIME_MAX, STALL_BYTES_MIN);
        Self { stream, pace, framing, linger: None }
    }

    /// It goes on with another protocol, on which either side may be silent for as long as the
    /// machines say now and then that they are there.
    pub(super) fn switches(&mut self) -> io::Result<()> {
        self.framing = None;
        let socket = self.stream.socket();
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, SILENT_MAX)?;
        sockopt::set_tcp_keepintvl(socket, ASKED_AGAIN)?;
        sockopt::set_tcp_keepcnt(socket, ASKED_MAX)?;
        Ok(())
    }

    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = outcome {
            self.pace.moved(*written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        ready!(self.pace.poll_over(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Passes over what is left of a request.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.linger.get_or_insert_with(|| {
            let now = Instant::now();
            let sleep = Box::pin(sleep_until(now + LINGER_IDLE_MAX));
            Linger { end: now + LINGER_TIME_MAX, sleep }
        });
        let mut bytes = [0; LINGER_BUFFER];
        while let Some(framing) = &mut self.framing
            && !framing.is_between_requests()
        {
            let mut buffer = ReadBuf::new(&mut bytes);
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) else {
                return linger.sleep.as_mut().poll(cx);
            };
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            framing.follow(buffer.filled());
            let deadline = linger.end.min(Instant::now() + LINGER_IDLE_MAX);
            linger.sleep.as_mut().reset(deadline);
        }
        Poll::Ready(())
    }
}

impl<S: Socket> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(framing) = &mut self.framing {
            framing.follow(&buffer.filled()[before..]);
        }
        outcome
    }
}

impl<S: Socket> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        self.poll_rest(cx).map(Ok)
    }
}
