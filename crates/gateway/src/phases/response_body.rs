//! The body of an application's answer on its way to the visitor.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    request::{
        body::{Fault, Lent},
        pace::Pace,
    },
    routes::in_flight::InFlight,
    upstream::endpoint::Busy,
    usage::tail::Tail,
};

/// How long an application may send nothing of an answer that it has begun. Streams of events are
/// silent for long; those who serve them say something at least every few minutes.
const ANSWER_WAIT_MAX: Duration = Duration::from_mins(5);

/// An answer's body as the visitor gets it.
pub(crate) struct Outbound {
    inner: Incoming,
    pace: Pace,
    /// What is owed for the body; written when it ends, before its last part is released.
    tail: Option<Tail>,
    /// What is left of the request is not needed once the answer has ended.
    request: Lent,
    _under_way: UnderWay,
}

/// What counts a request until its answer has ended: at its endpoint, and at its instance.
type UnderWay = (Busy, Option<InFlight>);

impl Outbound {
    pub(crate) fn new(
        inner: Incoming,
        tail: Option<Tail>,
        request: Lent,
        under_way: UnderWay,
    ) -> Self {
        let pace = Pace::new(ANSWER_WAIT_MAX, 1);
        Self { inner, pace, tail, request, _under_way: under_way }
    }

    fn ended(&mut self) {
        drop(self.tail.take());
        self.request.end();
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.ended();
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
                ready!(self.pace.poll_over(cx));
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
            let Ok(data) = data else { continue };
            self.pace.moved(data.len());
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
