//! HTTP/2 with a visitor: several requests at once on one connection.
//!
//! What a visitor can make us hold is limited in number and time: streams, what is kept of answers
//! that are not taken, answers that nobody takes, connections on which nothing is asked, and requests
//! that are taken back as fast as they are made (CVE-2023-44487). What is limited below that, such as
//! frames without end that continue a head, is the library's matter.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use api::Problem;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    answering::Answering,
    client::{Client, HEAD_BYTES_MAX},
    client_stream::{ClientStream, Socket},
    ending::Ending,
};
use crate::{
    phases::{self, response_body::ResponseBody, worker::Worker},
    render,
    upstream::multiplexed::Here,
};

/// So many requests are under way at once on one connection, and so many with those that were taken
/// back and are still being done.
const STREAMS_MAX: u32 = 100;
const UNDER_WAY_MAX: usize = 2 * STREAMS_MAX as usize;
/// So much of a request's body may come before it is asked for, of one and of all.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// So much of an answer is kept that the visitor does not take yet.
const KEPT_BYTES_MAX: usize = 64 << 10;
/// A visitor who is silent for so long is asked whether they are there, and has so long to say so.
const SILENT_MAX: Duration = Duration::from_mins(1);
const PROOF_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a connection is kept on which nothing is under way, and how long it may then take to end.
const IDLE_MAX: Duration = Duration::from_mins(1);
const END_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a visitor may take nothing of an answer that is there.
const STALL_TIME_MAX: Duration = Duration::from_mins(1);
/// How often this is looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(5);
/// When those that have been taken are forgotten.
const OFFERED_MAX: usize = 4 * UNDER_WAY_MAX;
/// So many requests may be taken back, and more only as long as more are waited for.
const TAKEN_BACK_MAX: u64 = 100;

/// Answers what comes on a connection until it ends.
pub(super) async fn serve(
    worker: Rc<Worker>,
    stream: impl Socket,
    client: Client,
    mut ending: Ending,
) {
    let (peer, traffic) = (client.peer, Rc::<Traffic>::default());
    let stream = TokioIo::new(ClientStream::new(stream, None));
    let service = {
        let traffic = Rc::clone(&traffic);
        service_fn(move |request| answer(&worker, &client, &traffic, request))
    };
    let mut connection = pin!(
        http2::Builder::new(Here)
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(KEPT_BYTES_MAX)
            .max_header_list_size(HEAD_BYTES_MAX.into())
            .keep_alive_interval(SILENT_MAX)
            .keep_alive_timeout(PROOF_TIME_MAX)
            .serve_connection(stream, service)
    );
    let mut looks = interval(LOOK_PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = pin!(ending.told().fuse());
    let mut ends = None;
    let outcome = poll_fn(|cx| {
        if told.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
        }
        while looks.poll_tick(cx).is_ready() {
            let now = Instant::now();
            if ends.is_none() && traffic.is_idle(now) {
                ends = Some(now + END_TIME_MAX);
                connection.as_mut().graceful_shutdown();
            }
            let is_over = ends.is_some_and(|ends| ends <= now && traffic.is_idle(now));
            if is_over || traffic.is_stalled(now) {
                return Poll::Ready(Ok(()));
            }
        }
        if traffic.is_abused() {
            return Poll::Ready(Ok(()));
        }
        connection.as_mut().poll(cx)
    })
    .await;
    if let Err(cause) = outcome {
        tracing::debug!(%peer, %cause, "a connection broke off");
    }
}

fn answer(
    worker: &Rc<Worker>,
    client: &Client,
    traffic: &Rc<Traffic>,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Taken>, Infallible>> + use<> {
    names_host(&mut request);
    let under_way = UnderWay::begin(traffic);
    let awaited = Awaited { traffic: Rc::clone(traffic), is_answered: false };
    let (worker, slot) = (Rc::clone(worker), Rc::clone(&client.slot));
    let (visit, body) = client.visit(&worker, request);
    let answering = Answering::new(async move {
        // It keeps its slot until it is done.
        let _slot = slot;
        let response = if under_way.is_too_much() {
            busy().map(ResponseBody::Own)
        } else {
            phases::pass(&worker, visit, false, body).await
        };
        (response, under_way)
    });
    answering.map(move |answer| {
        awaited.answered();
        let (response, under_way) = answer.unzip();
        let response = response.unwrap_or_else(|| render::broken().map(ResponseBody::Own));
        Ok(response.map(|body| Taken::new(body, under_way)))
    })
}

fn busy() -> Response<render::Body> {
    let detail = "too many requests are under way on this connection; try again";
    chassis::problem_response(Problem::unavailable(detail, 1))
}

/// Says in a header whose host is asked, where only the target does (RFC 9113, 8.3.1).
fn names_host(request: &mut Request<Incoming>) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let authority = request.uri().authority().map(|it| HeaderValue::from_str(it.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// What is under way on a connection.
struct Traffic {
    under_way: Cell<usize>,
    /// Since when nothing is.
    idle: Cell<Instant>,
    answered: Cell<u64>,
    taken_back: Cell<u64>,
    /// Of each answer, since when the visitor has to take what is there.
    offered: RefCell<Vec<std::rc::Weak<Cell<Option<Instant>>>>>,
}

impl Default for Traffic {
    fn default() -> Self {
        let (under_way, idle) = (Cell::default(), Cell::new(Instant::now()));
        let (answered, taken_back) = (Cell::default(), Cell::default());
        Self { under_way, idle, answered, taken_back, offered: RefCell::default() }
    }
}

impl Traffic {
    fn is_idle(&self, now: Instant) -> bool {
        self.under_way.get() == 0 && now.duration_since(self.idle.get()) >= IDLE_MAX
    }

    /// Whether an answer is there that the visitor does not take.
    fn is_stalled(&self, now: Instant) -> bool {
        let mut offered = self.offered.borrow_mut();
        offered.retain(|it| it.strong_count() > 0);
        let mut since = offered.iter().filter_map(|it| it.upgrade()?.get());
        since.any(|since| now.duration_since(since) >= STALL_TIME_MAX)
    }

    /// Whether requests are taken back as nobody takes them back who wants an answer.
    fn is_abused(&self) -> bool {
        self.taken_back.get() > TAKEN_BACK_MAX.max(self.answered.get())
    }
}

/// A request that is under way, until its answer has ended.
struct UnderWay(Rc<Traffic>);

impl UnderWay {
    fn begin(traffic: &Rc<Traffic>) -> Self {
        traffic.under_way.set(traffic.under_way.get() + 1);
        Self(Rc::clone(traffic))
    }

    fn is_too_much(&self) -> bool {
        self.0.under_way.get() > UNDER_WAY_MAX
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.idle.set(Instant::now());
    }
}

/// An answer that is waited for.
struct Awaited {
    traffic: Rc<Traffic>,
    is_answered: bool,
}

impl Awaited {
    fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let Traffic { answered, taken_back, .. } = &*self.traffic;
        let count = if self.is_answered { answered } else { taken_back };
        count.set(count.get() + 1);
    }
}

/// The body of an answer, which is asked for its next part only when the visitor has room for it.
struct Taken {
    body: ResponseBody,
    /// Since when a part is there.
    offered: Rc<Cell<Option<Instant>>>,
    _under_way: Option<UnderWay>,
}

impl Taken {
    fn new(body: ResponseBody, under_way: Option<UnderWay>) -> Self {
        let offered = Rc::default();
        if let Some(UnderWay(traffic)) = &under_way {
            let mut all = traffic.offered.borrow_mut();
            if all.len() > OFFERED_MAX {
                all.retain(|it| it.strong_count() > 0);
            }
            all.push(Rc::downgrade(&offered));
        }
        Self { body, offered, _under_way: under_way }
    }
}

impl Body for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.offered.set(frame.is_ready().then(Instant::now));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_for_as_long_as_something_is_under_way() {
        let traffic = Rc::<Traffic>::default();
        let is_idle = || traffic.is_idle(Instant::now());
        let pass = async |time| tokio::time::advance(time).await;
        let asked = UnderWay::begin(&traffic);
        pass(2 * IDLE_MAX).await;
        assert!(!is_idle());
        drop(asked);
        pass(IDLE_MAX / 2).await;
        assert!(!is_idle());
        pass(IDLE_MAX / 2).await;
        assert!(is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_there_has_to_be_taken() {
        let traffic = Rc::<Traffic>::default();
        let is_stalled = || traffic.is_stalled(Instant::now());
        let pass = async || tokio::time::advance(2 * STALL_TIME_MAX).await;
        let body = |body| Taken::new(ResponseBody::Own(body), Some(UnderWay::begin(&traffic)));
        let mut there = body(render::Body::from("all of it"));
        let coming = futures_util::stream::pending::<Result<Bytes, Infallible>>();
        let mut coming = body(render::Body::from_stream(coming));
        let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut coming).poll_frame(cx).is_ready()));
        assert!(!polled.await);
        pass().await;
        assert!(!is_stalled(), "nothing is there to be taken");
        poll_fn(|cx| Pin::new(&mut there).poll_frame(cx)).await.unwrap().unwrap();
        assert!(!is_stalled());
        pass().await;
        assert!(is_stalled());
        drop(there);
        assert!(!is_stalled());
    }

    #[tokio::test]
    async fn who_takes_back_more_than_they_wait_for_is_not_served() {
        let traffic = Rc::<Traffic>::default();
        let ask = || Awaited { traffic: Rc::clone(&traffic), is_answered: false };
        for _ in 0..TAKEN_BACK_MAX {
            drop(ask());
        }
        assert!(!traffic.is_abused());
        for _ in 0..2 * TAKEN_BACK_MAX {
            ask().answered();
        }
        for _ in 0..TAKEN_BACK_MAX {
            drop(ask());
        }
        assert!(!traffic.is_abused());
        drop(ask());
        assert!(traffic.is_abused());
    }
}
