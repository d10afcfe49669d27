//! What comes after an answer with which both sides go on with another protocol: bytes both ways,
//! counted as they go, until one side leaves or the tunnel has to end.

mod frames;
mod way;

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use api::{Kind, Problem};
use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Sleep, sleep, timeout},
};

use super::streams::Watched;
use crate::{access_log::Entry, request::body::Flow, usage::tail::Tail};
use frames::Frames;
use way::Way;

/// How long one side may go on after the other has ended; a `WebSocket` has nothing to say then.
const REST_TIME_MAX: Duration = Duration::from_secs(30);
const WEBSOCKET_REST_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a visitor may take to hear why the tunnel ends.
const LAST_TIME_MAX: Duration = Duration::from_secs(1);

/// What a visitor is told (RFC 6455, 7.4.1).
const GOING_AWAY: u16 = 1_001;
const POLICY: u16 = 1_008;
const TRY_AGAIN_LATER: u16 = 1_013;

/// A connection to an application, on which HTTP has ended.
pub(crate) struct Tunnel {
    endpoint: TcpStream,
    flow: Rc<Flow>,
    watched: Watched,
    in_way: Way,
    out_way: Way,
    out: Out,
}

/// What follows the bytes that come from the application.
struct Out {
    tail: Option<Tail>,
    /// Of a `WebSocket`.
    frames: Option<Frames>,
    entry: Option<Entry>,
}

/// How a tunnel ended.
enum End {
    /// One side left, or broke off.
    Left(io::Result<()>),
    /// It has to end.
    Asked(u16, String),
}

impl Tunnel {
    /// A tunnel to `endpoint`, from which `come` has come already.
    pub(super) fn new(
        (endpoint, come): (TcpStream, &Bytes),
        is_websocket: bool,
        (flow, tail): (Rc<Flow>, Option<Tail>),
        watched: Watched,
    ) -> Self {
        let frames = is_websocket.then(Frames::default);
        let mut out = Out { tail, frames, entry: None };
        out.passed(come);
        let (in_way, out_way) = (Way::default(), Way::new(come));
        Self { endpoint, flow, watched, in_way, out_way, out }
    }

    /// Has `entry` written when it has ended.
    pub(super) fn accompany(&mut self, mut entry: Entry) {
        entry.passed(self.out_way.waiting());
        self.out.entry = Some(entry);
    }

    /// Passes on what comes from both sides until it ends; `first` has come from the visitor already.
    /// When `closing` is ready, nothing more is to go on here.
    pub(crate) async fn run(
        mut self,
        mut visitor: impl AsyncRead + AsyncWrite + Unpin,
        first: &[u8],
        closing: impl Future<Output = ()>,
    ) {
        self.in_way = Way::new(first);
        self.flow.passed(first.len() as u64);
        let mut closing = pin!(closing);
        let mut rest = None;
        let end = poll_fn(|cx| {
            if let Poll::Ready(problem) = self.watched.poll_ended(cx) {
                let code = match problem.kind {
                    Kind::Unavailable => TRY_AGAIN_LATER,
                    _ => POLICY,
                };
                return Poll::Ready(End::Asked(code, told(&problem)));
            }
            if closing.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Asked(GOING_AWAY, "the platform restarts".to_owned()));
            }
            self.poll_ways(cx, &mut visitor, &mut rest).map(End::Left)
        })
        .await;
        match end {
            End::Left(Ok(())) => {}
            End::Left(Err(cause)) => tracing::debug!(%cause, "a tunnel broke off"),
            End::Asked(code, reason) => {
                let between = self.out.frames.as_ref().is_some_and(Frames::are_between);
                let last = between.then(|| frames::closing(code, &reason));
                let rest = std::mem::take(&mut self.out_way);
                // The application's side has ended; the visitor's may take a moment.
                drop(self);
                let _ = timeout(LAST_TIME_MAX, say(&mut visitor, rest, last)).await;
            }
        }
    }

    fn poll_ways(
        &mut self,
        cx: &mut Context<'_>,
        visitor: &mut (impl AsyncRead + AsyncWrite + Unpin),
        rest: &mut Option<Pin<Box<Sleep>>>,
    ) -> Poll<io::Result<()>> {
        let Self { endpoint, flow, in_way, out_way, out, .. } = self;
        let (from, to) = endpoint.split();
        let is_in = in_way.poll(cx, &mut *visitor, to, |bytes| flow.passed(bytes.len() as u64))?;
        let is_out = out_way.poll(cx, from, visitor, |bytes| out.passed(bytes))?;
        if let Some(tail) = &mut out.tail {
            tail.poll_due(cx);
        }
        match (is_in, is_out) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => {
                let most =
                    if out.frames.is_some() { WEBSOCKET_REST_TIME_MAX } else { REST_TIME_MAX };
                let rest = rest.get_or_insert_with(|| Box::pin(sleep(most)));
                rest.as_mut().poll(cx).map(Ok)
            }
        }
    }
}

/// Passes on what has come, and what is the last then.
async fn say(
    visitor: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut come: Way,
    last: Option<Vec<u8>>,
) -> io::Result<()> {
    poll_fn(|cx| come.poll_written(cx, visitor)).await?;
    visitor.write_all(&last.unwrap_or_default()).await?;
    visitor.shutdown().await?;
    // Closing while something still comes would take away what was told.
    let mut rest = [0; 1_024];
    while visitor.read(&mut rest).await? > 0 {}
    Ok(())
}

impl Out {
    fn passed(&mut self, bytes: &[u8]) {
        if let Some(tail) = &mut self.tail {
            tail.passed(bytes.len() as u64);
        }
        if let Some(frames) = &mut self.frames {
            frames.follow(bytes);
        }
        if let Some(entry) = &mut self.entry {
            entry.passed(bytes.len() as u64);
        }
    }
}

fn told(problem: &Problem) -> String {
    format!("{}: {}", problem.title, problem.detail)
}
