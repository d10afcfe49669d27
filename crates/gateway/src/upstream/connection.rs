//! A connection to an endpoint, driven by whoever waits for what comes over it.
//!
//! A request and its connection are one task: reading an answer wakes whoever asked, and nobody else
//! is woken in between. Only where a request has a body does the connection get a task of its own,
//! since sending must go on also while nobody takes the answer.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

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

type Driver = http1::Connection<TokioIo<Stream>, Lent>;

/// A connection to an endpoint.
pub(crate) struct Connection {
    sender: SendRequest<Lent>,
    /// None once it has ended, or has a task of its own.
    driver: Option<Driver>,
    has_own_task: bool,
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
        Ok(Self { sender, driver: Some(driver), has_own_task: false, heard })
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
        if has_body && let Some(driver) = self.driver.take() {
            self.has_own_task = true;
            spawn_local(driver);
        }
        let (driver, own_task) = (&mut self.driver, self.has_own_task);
        poll_fn(|cx| poll_with(driver, own_task, cx, |cx| answer.as_mut().poll(cx))).await
    }

    /// Polls something that comes over this connection, and the connection with it.
    pub(crate) fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        poll_with(&mut self.driver, self.has_own_task, cx, poll)
    }

    /// Whether another request can be sent. One that the endpoint has closed is found out here.
    pub(super) fn poll_is_free(&mut self, cx: &mut Context<'_>) -> bool {
        drive(&mut self.driver, cx);
        self.driver.is_some() && self.sender.is_ready()
    }
}

fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready()) {
        *driver = None;
    }
}

fn poll_with<T>(
    driver: &mut Option<Driver>,
    has_own_task: bool,
    cx: &mut Context<'_>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    if has_own_task {
        return poll(cx);
    }
    // Only the driver can make it ready, and the driver is polled here: it needs to wake nobody.
    let silent = &mut Context::from_waker(Waker::noop());
    if let Poll::Ready(outcome) = poll(silent) {
        return Poll::Ready(outcome);
    }
    drive(driver, cx);
    poll(silent)
}
