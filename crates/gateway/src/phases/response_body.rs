//! The body of an answer on its way to the visitor.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{streams::Watched, tunnel::Tunnel};
use crate::{
    access_log::Entry,
    render,
    request::{
        body::{Fault, Lent},
        headers,
        pace::Pace,
    },
    upstream::pool::Lease,
    usage::tail::Tail,
};

/// How long an application may send nothing of an answer that it has begun. Streams of events are
/// silent for long; those who serve them say something at least every few minutes.
const ANSWER_WAIT_MAX: Duration = Duration::from_mins(5);

/// The body of an answer.
pub(crate) enum ResponseBody {
    /// The gateway's own, or the platform's.
    Own(render::Body),
    /// An application's that has come whole.
    Whole(Bytes),
    /// An application's that still comes.
    Streamed(Box<Outbound>),
    /// None: both sides go on with another protocol.
    Switched(Box<Tunnel>),
}

impl ResponseBody {
    /// Has `entry` written when the answer has ended.
    pub(super) fn accompany(&mut self, mut entry: Entry) {
        match self {
            Self::Own(body) => entry.passed(body.size_hint().exact().unwrap_or_default()),
            Self::Whole(body) => entry.passed(body.len() as u64),
            Self::Streamed(body) => body.entry = Some(entry),
            Self::Switched(tunnel) => tunnel.accompany(entry),
        }
    }

    /// Takes out what comes after the answer, where both sides go on with another protocol.
    pub(crate) fn take_tunnel(&mut self) -> Option<Tunnel> {
        match std::mem::replace(self, Self::Whole(Bytes::new())) {
            Self::Switched(tunnel) => Some(*tunnel),
            body => {
                *self = body;
                None
            }
        }
    }
}

/// An application's answer as the visitor gets it.
pub(crate) struct Outbound {
    inner: Incoming,
    /// What has come of it already.
    part: Option<Part>,
    /// The connection over which it comes; given back when it has ended.
    lease: Lease,
    watched: Watched,
    pace: Pace,
    /// What is owed for the body; written when it ends, before its last part is released.
    tail: Option<Tail>,
    /// It broke off; that is said once what came before has been passed on.
    broken: Option<hyper::Error>,
    /// What is left of the request is not needed once the answer has ended.
    request: Lent,
    entry: Option<Entry>,
}

/// A part of an answer's body, or what went wrong with it.
pub(super) type Part = Result<Frame<Bytes>, hyper::Error>;

/// What comes of an answer, and over what.
pub(super) struct Comes {
    pub(super) part: Option<Part>,
    pub(super) body: Incoming,
    pub(super) lease: Lease,
    pub(super) watched: Watched,
}

impl Outbound {
    pub(super) fn new(
        Comes { part, body: inner, lease, watched }: Comes,
        tail: Option<Tail>,
        request: Lent,
    ) -> Self {
        let pace = Pace::new(ANSWER_WAIT_MAX, 1);
        Self { inner, part, lease, watched, pace, tail, broken: None, request, entry: None }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if let Some(part) = self.part.take() {
            return Poll::Ready(Some(part));
        }
        let inner = &mut self.inner;
        self.lease.poll_with(cx, |cx| Pin::new(&mut *inner).poll_frame(cx))
    }

    fn size_hint(&self) -> SizeHint {
        let come = self.part.as_ref().and_then(|part| part.as_ref().ok()?.data_ref());
        let (come, rest) = (come.map_or(0, |data| data.len() as u64), self.inner.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + come);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + come);
        }
        hint
    }

    fn ended(&mut self) {
        drop(self.tail.take());
        self.request.end();
    }

    /// It was read to its end.
    fn completed(&mut self, cx: &mut Context<'_>) {
        self.ended();
        self.lease.end(cx);
    }

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(cause) = self.broken.take() {
            return Poll::Ready(Some(Err(axum::Error::new(cause))));
        }
        if let Poll::Ready(problem) = self.watched.poll_ended(cx) {
            self.ended();
            return Poll::Ready(Some(Err(axum::Error::new(problem))));
        }
        loop {
            let Poll::Ready(frame) = self.poll_inner(cx) else {
                if let Some(tail) = &mut self.tail {
                    tail.poll_due(cx);
                }
                ready!(self.pace.poll_over(cx));
                self.ended();
                return Poll::Ready(Some(Err(axum::Error::new(Fault::TooSlow))));
            };
            let data = match frame {
                None => {
                    self.completed(cx);
                    return Poll::Ready(None);
                }
                Some(Err(cause)) => {
                    self.ended();
                    self.broken = Some(cause);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Ok(frame)) => frame.into_data(),
            };
            let data = match data {
                Ok(data) => data,
                Err(frame) => match frame.into_trailers() {
                    Ok(mut trailers) => {
                        headers::trailers_for_visitor(&mut trailers);
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                    Err(_) => continue,
                },
            };
            self.pace.moved(data.len());
            if let Some(entry) = &mut self.entry {
                entry.passed(data.len() as u64);
            }
            if let Some(tail) = &mut self.tail {
                tail.passed(data.len() as u64);
            }
            if self.inner.is_end_stream() {
                self.completed(cx);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.ended();
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body).poll_frame(cx),
            Self::Whole(body) => {
                let body = std::mem::take(body);
                Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body))))
            }
            Self::Streamed(body) => body.poll_data(cx),
            Self::Switched(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Whole(body) => body.is_empty(),
            Self::Streamed(body) => body.part.is_none() && body.inner.is_end_stream(),
            Self::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Streamed(body) => body.size_hint(),
            Self::Switched(_) => SizeHint::with_exact(0),
        }
    }
}
