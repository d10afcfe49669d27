//! Bodies on their way through: counted, limited, and never waited for without end.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use crate::{phases::meter::Tail, replicas::InFlight};

/// The longest body of a request, in bytes.
pub(crate) const REQUEST_BYTES_MAX: u64 = 256 << 20;
/// How long a client may send nothing of a body that it has begun.
const REQUEST_IDLE_MAX: Duration = Duration::from_secs(30);
/// How long an application may send nothing of an answer that it has begun. Streams of events are
/// silent for long; those who serve them say something at least every few minutes.
const ANSWER_IDLE_MAX: Duration = Duration::from_mins(5);

/// Why a body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub(crate) enum Fault {
    #[error("the body is too long")]
    TooLong = 1,
    #[error("the body did not go on in time")]
    TooSlow = 2,
    #[error("the body broke off")]
    BrokenOff = 3,
}

/// How the body of a request fares; shared with whoever reports about it.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    bytes: AtomicU64,
    fault: AtomicU8,
}

impl Flow {
    /// How many bytes came.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why it ended early, if it did.
    pub(crate) fn fault(&self) -> Option<Fault> {
        [Fault::TooLong, Fault::TooSlow, Fault::BrokenOff]
            .into_iter()
            .find(|fault| *fault as u8 == self.fault.load(Ordering::Relaxed))
    }

    fn fail(&self, fault: Fault) -> Fault {
        self.fault.store(fault as u8, Ordering::Relaxed);
        fault
    }
}

/// Ends a wait that takes too long.
struct Idle {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: Box::pin(sleep(limit)) }
    }

    fn moved(&mut self) {
        self.sleep.as_mut().reset(Instant::now() + self.limit);
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }
}

/// A request's body as the client sends it.
pub(crate) struct Inbound {
    inner: Incoming,
    flow: Arc<Flow>,
    idle: Idle,
}

impl Inbound {
    pub(crate) fn new(inner: Incoming, flow: Arc<Flow>) -> Self {
        Self { inner, flow, idle: Idle::new(REQUEST_IDLE_MAX) }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
                ready!(self.idle.poll_over(cx));
                return Poll::Ready(Some(Err(self.flow.fail(Fault::TooSlow))));
            };
            let data = match frame {
                None => return Poll::Ready(None),
                Some(Err(_)) => return Poll::Ready(Some(Err(self.flow.fail(Fault::BrokenOff)))),
                Some(Ok(frame)) => frame.into_data(),
            };
            self.idle.moved();
            // Trailers are not passed on: they would be headers that nobody has looked at.
            let Ok(data) = data else { continue };
            let bytes = self.flow.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
            if bytes + data.len() as u64 > REQUEST_BYTES_MAX {
                return Poll::Ready(Some(Err(self.flow.fail(Fault::TooLong))));
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }
}

/// A request's body, lent to one attempt to send it. As long as nothing of it was read, it can be
/// lent to another.
pub(crate) struct Lent {
    owner: Arc<Mutex<Option<Inbound>>>,
    taken: Option<Inbound>,
    hint: SizeHint,
}

impl Lent {
    pub(crate) fn new(owner: &Arc<Mutex<Option<Inbound>>>, hint: SizeHint) -> Self {
        Self { owner: Arc::clone(owner), taken: None, hint }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.taken.is_none() {
            let taken = self.owner.lock().expect("nobody panics while holding it").take();
            self.taken = taken;
        }
        match &mut self.taken {
            Some(body) => body.poll_data(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.taken {
            Some(body) => body.inner.is_end_stream(),
            None => self.hint.exact() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.taken.as_ref().map_or_else(|| self.hint, |body| body.inner.size_hint())
    }
}

/// An answer's body as the visitor gets it.
pub(crate) struct Outbound {
    inner: Incoming,
    idle: Idle,
    /// What is owed for the body; written when it ends, before its last part is released.
    tail: Option<Tail>,
    _in_flight: InFlight,
}

impl Outbound {
    pub(crate) fn new(inner: Incoming, tail: Option<Tail>, in_flight: InFlight) -> Self {
        Self { inner, idle: Idle::new(ANSWER_IDLE_MAX), tail, _in_flight: in_flight }
    }

    fn ended(&mut self) {
        drop(self.tail.take());
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
                ready!(self.idle.poll_over(cx));
                self.ended();
                return Poll::Ready(Some(Err(axum::Error::new(Fault::TooSlow))));
            };
            let data = match frame {
                None => {
                    self.ended();
                    return Poll::Ready(None);
                }
                Some(Err(cause)) => {
                    self.ended();
                    return Poll::Ready(Some(Err(axum::Error::new(cause))));
                }
                Some(Ok(frame)) => frame.into_data(),
            };
            self.idle.moved();
            let Ok(data) = data else { continue };
            if let Some(tail) = &mut self.tail {
                tail.passed(data.len() as u64);
            }
            if self.inner.is_end_stream() {
                self.ended();
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
