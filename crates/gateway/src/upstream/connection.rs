//! A connection to an endpoint, driven by whoever waits for what comes over it.
//!
//! A request and its connection are one task: reading an answer wakes whoever asked, and nobody else
//! is woken in between. Only where a request has a body does the connection get a task of its own,
//! since sending must go on also while nobody takes the answer.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::{spawn_local, unconstrained},
};

use super::stream::Stream;
use crate::request::body::Lent;

const ANSWER_BUFFER_BYTES_MAX: usize = 128 << 10;

/// Who drives a connection.
enum Driver {
    /// Whoever waits for what comes over it.
    Here(Box<http1::Connection<TokioIo<Stream>, Lent>>),
    /// A task of its own.
    Apart,
    /// Nobody: no more requests can go over it.
    Ended(Option<Box<http1::Connection<TokioIo<Stream>, Lent>>>),
}

/// A connection to an endpoint.
pub(crate) struct Connection {
    sender: SendRequest<Lent>,
    driver: Driver,
    /// Whether anything came since a request was sent.
    heard: Rc<Cell<bool>>,
}

impl Connection {
    pub(super) async fn new(stream: TcpStream) -> Result<Self, hyper::Error> {
        let heard = Rc::<Cell<bool>>::default();
        let stream = TokioIo::new(Stream::new(stream, Rc::clone(&heard)));
        // Of headers it takes 100 of its own accord; to say so would have it count on the heap.
        let (sender, driver) =
            http1::Builder::new().max_buf_size(ANSWER_BUFFER_BYTES_MAX).handshake(stream).await?;
        Ok(Self { sender, driver: Driver::Here(Box::new(driver)), heard })
    }

    /// Whether anything came since a request was sent.
    pub(super) fn has_heard(&self) -> bool {
        self.heard.get()
    }

    /// Sends a request; answers the head of what comes back.
    pub(super) async fn send(
        &mut self,
        request: Request<Lent>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.heard.set(false);
        let has_body = !request.body().is_empty();
        // It takes part in no budget: it is ready only when the connection has got something, and
        // nobody would wake it once more.
        let mut answer = pin!(unconstrained(self.sender.send_request(request)));
        if has_body {
            self.driver.goes_apart();
        }
        let driver = &mut self.driver;
        poll_fn(|cx| driver.poll_with(cx, |cx| answer.as_mut().poll(cx))).await
    }

    /// Polls something that comes over this connection, and the connection with it.
    pub(crate) fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.driver.poll_with(cx, poll)
    }

    /// What is left of it where both sides go on with another protocol: the connection, and what has
    /// come on it already.
    pub(super) async fn switched(mut self) -> Option<(TcpStream, Bytes)> {
        poll_fn(|cx| {
            self.driver.drive(cx);
            if matches!(self.driver, Driver::Here(_)) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        let Driver::Ended(connection) = self.driver else { return None };
        let parts = connection?.into_parts();
        Some((parts.io.into_inner().into_socket(), parts.read_buf))
    }

    /// Whether another request can be sent. One that the endpoint has closed is found out here.
    pub(super) fn poll_is_free(&mut self, cx: &mut Context<'_>) -> bool {
        self.driver.drive(cx);
        matches!(self.driver, Driver::Here(_)) && self.sender.is_ready()
    }
}

impl Driver {
    fn goes_apart(&mut self) {
        if let Self::Here(connection) = std::mem::replace(self, Self::Apart) {
            spawn_local(connection);
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Self::Here(connection) = self
            && let Poll::Ready(outcome) = connection.poll_without_shutdown(cx)
            && let Self::Here(connection) = std::mem::replace(self, Self::Ended(None))
        {
            *self = Self::Ended(outcome.is_ok().then_some(connection));
        }
    }

    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if matches!(self, Self::Apart) {
            return poll(cx);
        }
        // Only the connection can make it ready, and that is polled here: it needs to wake nobody.
        let silent = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = poll(silent) {
            return Poll::Ready(outcome);
        }
        self.drive(cx);
        poll(silent)
    }
}
