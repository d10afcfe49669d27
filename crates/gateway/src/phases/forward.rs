//! An endpoint answers.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use api::{Kind, Problem, manifest::Protocol};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, response,
    uri::PathAndQuery,
};
use http_body::{Body as _, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;
use types::Name;

use super::{
    authorize::Meant,
    meter,
    recheck::recheck,
    response_body::{Comes, Outbound, Part, ResponseBody},
    stop::Stop,
    tunnel::Tunnel,
    visit::Visit,
    worker::Worker,
};
use crate::{
    request::{
        body::{Fault, Flow, Inbound, Lent, REQUEST_BYTES_MAX},
        headers::{self, Told},
        upgrade::{self, WEBSOCKET},
    },
    state::State,
    upstream::{
        endpoint::{Busy, Endpoint},
        pool::Lease,
    },
};

/// How long an endpoint may take to begin its answer.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);
/// How long a request waits for an endpoint where there is none.
const START_TIME_MAX: Duration = Duration::from_secs(3);
/// A body of so many bytes is released with its head, if it has come with it.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// The type of a stream of events.
const EVENTS: &[u8] = b"text/event-stream";
/// So many endpoints are tried for one request.
const ATTEMPTS_MAX: usize = 3;

/// Has an endpoint answer, and makes the answer fit to be released.
pub(crate) async fn forward(
    worker: &Worker,
    visit: &mut Visit,
    meant: Meant,
    body: Incoming,
) -> Result<Response<ResponseBody>, Stop> {
    let state = &*worker.state;
    let hint = body.size_hint();
    let upgrade = upgrade(visit, &meant, &hint)?;
    if hint.lower() > REQUEST_BYTES_MAX {
        return Err(broken_body(Fault::TooLong).into());
    }
    let Visit { peer, is_https, .. } = *visit;
    let told =
        Told { id: &visit.id_text, peer, is_https, principal: &meant.asker.caller.principal };
    headers::for_application(&mut visit.head.headers, &told);
    if let Some(protocol) = &upgrade {
        upgrade::name(&mut visit.head.headers, protocol);
    }
    let flow = Rc::new(Flow::default());
    let target = target(&meant.path, &visit.head.uri)?;
    let mut inbound = None;
    if hint.exact() != Some(0) {
        let upload = state.uploads.begin(meant.route.instance)?;
        inbound = Some(Inbound::new(body, Rc::clone(&flow), upload));
    }
    visit.trace.flow = Some(Rc::clone(&flow));
    let process = meant.manifest.answers(&meant.path);
    let sending = Sending { process, body: Lent::new(inbound, hint), flow, target };
    let released = match answer_of(worker, visit, &meant, &sending).await {
        Ok(answer) if answer.0.status() == StatusCode::SWITCHING_PROTOCOLS => {
            Box::pin(switch(worker, visit, meant, (answer, upgrade), &sending.flow)).await
        }
        Ok(answer) => release(worker, visit, meant, answer, &sending).await,
        Err(problem) => Err(problem),
    };
    released.map_err(|problem| {
        sending.body.end();
        problem.into()
    })
}

/// What every attempt to send a request needs beside its head.
struct Sending {
    /// The process that answers.
    process: &'static str,
    body: Lent,
    flow: Rc<Flow>,
    target: PathAndQuery,
}

/// What an endpoint answered, over which connection.
type Answer = (Response<Incoming>, Lease, Busy);

async fn answer_of(
    Worker { state, pool, .. }: &Worker,
    visit: &mut Visit,
    meant: &Meant,
    sending: &Sending,
) -> Result<Answer, Problem> {
    let process = meant.manifest.process(sending.process);
    let protocol = process.map_or(Protocol::Http1, |process| process.protocol);
    let mut all = endpoints_of(state, meant, sending.process);
    let mut has_waited = all.is_none();
    if has_waited {
        all = Box::pin(coming_endpoints_of(state, meant, sending.process)).await;
    }
    let all = all.as_deref().unwrap_or_default();
    let mut tried: Vec<&Arc<Endpoint>> = Vec::new();
    let mut reached = false;
    while let Some(endpoint) = state.balancer.choose(all, &tried) {
        if std::mem::replace(&mut has_waited, true) {
            recheck(state, meant)?;
        }
        let busy = Busy::new(endpoint);
        visit.trace.replica = Some(Arc::clone(&endpoint.key));
        visit.trace.attempts += 1;
        let asked = pin!(pool.ask(endpoint, protocol, || request_from(visit, sending)));
        let cause = match in_time(asked, &sending.flow).await {
            Some(Ok((response, lease))) => return Ok((response, lease, busy)),
            Some(Err(cause)) => cause,
            None => return Err(too_late()),
        };
        if let Some(fault) = sending.flow.fault() {
            return Err(broken_body(fault));
        }
        tracing::warn!(request = %visit.id, replica = &*endpoint.key, %cause, "no answer from it");
        if cause.is_connect() {
            state.balancer.shun(endpoint);
        }
        tried.push(endpoint);
        // It was not done, or nothing is changed by doing it.
        let again = cause.is_connect() || visit.head.method.is_safe();
        if !again || !sending.body.is_untouched() {
            return Err(bad_answer());
        }
        reached |= !cause.is_connect();
        if tried.len() == ATTEMPTS_MAX {
            break;
        }
    }
    Err(if reached { bad_answer() } else { nobody(&meant.route.service) })
}

/// Waits for an answer to begin; a body that is still being sent is not held against the endpoint.
async fn in_time<T>(mut asked: Pin<&mut impl Future<Output = T>>, flow: &Flow) -> Option<T> {
    let mut seen = flow.bytes();
    loop {
        if let Ok(answer) = tokio::time::timeout(ANSWER_TIME_MAX, asked.as_mut()).await {
            return Some(answer);
        }
        let bytes = flow.bytes();
        if std::mem::replace(&mut seen, bytes) == bytes {
            return None;
        }
    }
}

/// The endpoints, once there are any: one that has just been started, or is being replaced, is worth
/// a moment's wait.
async fn coming_endpoints_of(
    state: &State,
    meant: &Meant,
    process: &'static str,
) -> Option<Arc<[Arc<Endpoint>]>> {
    let _permit = state.may_wait()?;
    let deadline = Instant::now() + START_TIME_MAX;
    loop {
        let changed = state.releases.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if let Some(there) = endpoints_of(state, meant, process) {
            return Some(there);
        }
        tokio::time::timeout_at(deadline, changed).await.ok()?;
    }
}

fn endpoints_of(
    state: &State,
    meant: &Meant,
    process: &'static str,
) -> Option<Arc<[Arc<Endpoint>]>> {
    state.releases.endpoints(&meant.route, &meant.manifest, process)
}

fn request_from(visit: &Visit, sending: &Sending) -> Request<Lent> {
    let mut request = Request::new(sending.body.clone());
    *request.uri_mut() = Uri::from(sending.target.clone());
    *request.method_mut() = visit.head.method.clone();
    request.headers_mut().clone_from(&visit.head.headers);
    if sending.body.size_hint().exact().is_none() {
        // Also where the library would think that the method has no body.
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(header::TRANSFER_ENCODING, chunked);
    }
    request
}

/// The path in its one form with the query, as they are sent on.
fn target(path: &str, uri: &Uri) -> Result<PathAndQuery, Problem> {
    if let Some(same) = uri.path_and_query().filter(|it| it.path() == path) {
        return Ok(same.clone());
    }
    let query = uri.query();
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    PathAndQuery::try_from(text)
        .map_err(|_| Problem::invalid("path_ambiguous", "the path has characters that no path has"))
}

async fn release(
    worker: &Worker,
    visit: &mut Visit,
    meant: Meant,
    (response, mut lease, busy): Answer,
    sending: &Sending,
) -> Result<Response<ResponseBody>, Problem> {
    let (mut head, mut body) = response.into_parts();
    if head.status.is_informational() {
        return Err(bad_answer());
    }
    let is_endless = is_endless(&head.headers);
    fit(&mut head);
    let whole = body.is_end_stream();
    if whole && visit.head.method != Method::HEAD {
        // A 304 may tell the length of what it does not send.
        head.headers.remove(header::CONTENT_LENGTH);
    }
    let status = head.status.as_u16();
    // Of a small answer that has come at once there is one record, and nothing is left to be done
    // when it is released.
    let length = body.size_hint().exact();
    let is_small = !whole && length.is_some_and(|length| length <= SMALL_BYTES_MAX);
    let part = if is_small { part_of(&mut body, &mut lease).await } else { None };
    let data = part.as_ref().and_then(|part| part.as_ref().ok()?.data_ref());
    let data = data.filter(|data| Some(data.len() as u64) == length && body.is_end_stream());
    let data = data.cloned();
    let data = if whole { Some(Bytes::new()) } else { data };
    let bytes = data.as_ref().map(|data| data.len() as u64);
    let tail = meter::before_release(worker, visit, &meant, status, (&sending.flow, bytes)).await?;
    let body = if let Some(data) = data {
        sending.body.end();
        poll_fn(|cx| {
            lease.end(cx);
            Poll::Ready(())
        })
        .await;
        ResponseBody::Whole(data)
    } else {
        let under_way = (busy, visit.in_flight.take());
        let watched = worker.streams.watch(meant, is_endless, under_way);
        let comes = Comes { part, body, lease, watched };
        let body = Outbound::new(comes, tail, sending.body.clone());
        ResponseBody::Streamed(Box::new(body))
    };
    Ok(Response::from_parts(head, body))
}

/// Goes on with another protocol, which the visitor has asked for and the application grants.
async fn switch(
    worker: &Worker,
    visit: &mut Visit,
    meant: Meant,
    ((response, lease, busy), upgrade): (Answer, Option<HeaderValue>),
    flow: &Rc<Flow>,
) -> Result<Response<ResponseBody>, Problem> {
    let (mut head, _) = response.into_parts();
    let protocol = upgrade.as_ref().and_then(|protocol| protocol.to_str().ok());
    let protocol = protocol.filter(|protocol| upgrade::is_granted(&head.headers, protocol));
    let protocol = protocol.ok_or_else(bad_answer)?;
    let (endpoint, come) = lease.switched().await.ok_or_else(bad_answer)?;
    let status = head.status.as_u16();
    let tail = meter::before_release(worker, visit, &meant, status, (flow, None)).await?;
    fit(&mut head);
    upgrade::name(&mut head.headers, &HeaderValue::from_str(protocol).map_err(|_| bad_answer())?);
    let watched = worker.streams.watch(meant, true, (busy, visit.in_flight.take()));
    let is_websocket = protocol.eq_ignore_ascii_case(WEBSOCKET);
    let owed = (Rc::clone(flow), tail);
    let tunnel = Tunnel::new((endpoint, &come), is_websocket, owed, watched);
    Ok(Response::from_parts(head, ResponseBody::Switched(Box::new(tunnel))))
}

/// Makes the head of an answer fit to be sent back.
fn fit(head: &mut response::Parts) {
    headers::for_visitor(&mut head.headers);
    head.headers.remove("x-request-id");
    head.extensions.clear();
    // Ours, whichever the application speaks.
    head.version = Version::HTTP_11;
}

/// Whether an answer ends only when somebody leaves.
fn is_endless(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.and_then(|kind| kind.get(..EVENTS.len()));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
}

/// What has come of a body with the head of its answer.
async fn part_of(body: &mut Incoming, lease: &mut Lease) -> Option<Part> {
    let part =
        poll_fn(|cx| Poll::Ready(lease.poll_with(cx, |cx| Pin::new(&mut *body).poll_frame(cx))));
    match part.await {
        Poll::Ready(part) => part,
        Poll::Pending => None,
    }
}

/// The protocol that is asked for, where the application speaks it. What may be ignored is; whoever
/// asks for a `WebSocket` in vain is told so instead of being left to wonder.
fn upgrade(visit: &Visit, meant: &Meant, hint: &SizeHint) -> Result<Option<HeaderValue>, Problem> {
    if !visit.head.headers.contains_key(header::UPGRADE) || hint.exact() != Some(0) {
        return Ok(None);
    }
    let service = &meant.manifest.service;
    let granted = service.upgrade(upgrade::asked(&visit.head));
    if let Some(protocol) = granted {
        return Ok(HeaderValue::from_str(protocol).ok());
    }
    if upgrade::asked(&visit.head).any(|it| it.eq_ignore_ascii_case(WEBSOCKET)) {
        let detail = format!("`{}` takes no `WebSocket` connections", service.name);
        return Err(Problem::new(Kind::Invalid, "no_upgrade", detail)
            .with_status(StatusCode::NOT_IMPLEMENTED));
    }
    Ok(None)
}

fn nobody(service: &Name) -> Problem {
    let detail = format!("no replica of `{service}` can answer at the moment; try again");
    Problem { title: "Back in a moment".into(), ..Problem::unavailable(detail, 2) }
}

fn bad_answer() -> Problem {
    let detail = "the application broke off, or its response is not valid HTTP";
    Problem::new(Kind::Unavailable, "bad_answer", detail).with_status(StatusCode::BAD_GATEWAY)
}

fn too_late() -> Problem {
    let detail = format!("the application did not answer within {ANSWER_TIME_MAX:?}");
    Problem::new(Kind::Unavailable, "no_answer_in_time", detail)
        .with_status(StatusCode::GATEWAY_TIMEOUT)
}

pub(super) fn broken_body(fault: Fault) -> Problem {
    match fault {
        Fault::TooLong => {
            let detail = format!("the body is longer than {REQUEST_BYTES_MAX} bytes");
            Problem::new(Kind::Invalid, "body_too_long", detail)
                .with_status(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Fault::TooSlow => {
            let detail = "the body arrived too slowly; send it again";
            Problem::new(Kind::Invalid, "body_too_slow", detail)
                .with_status(StatusCode::REQUEST_TIMEOUT)
        }
        Fault::BrokenOff => {
            Problem::invalid("body_broken_off", "the body broke off, or does not match its headers")
        }
    }
}
