//! The one door: every request passes here, from next door or from outside.
//!
//! Who is it? What is asked, of what? May they? Was it asked before? Then the handler, and an
//! answer or a problem.

use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};

use api::{
    Kind, Operation, Problem,
    feed::Feed,
    http::{FORWARDED_FOR, decode, token::TOKEN_BYTES_MAX},
};
use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, Request},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use types::{Principal, RequestId};

use crate::{
    Caller, Room, Seal,
    call::Call,
    failure::database_failed,
    feed::{self, Refused},
    repeat::Repeat,
};

/// A request's JSON body is at most this long.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// … and of somebody who has not said who they are, at most this long.
const STRANGERS_BODY_BYTES_MAX: usize = 16 << 10;
/// So much of a body that nobody wants is passed over, so that its sender hears why: the longest
/// that is ever wanted.
const PASSED_OVER_BYTES_MAX: usize = 256 << 20;
/// Nobody may take longer to send a body.
const BODY_TIME_MAX: Duration = Duration::from_mins(1);
const REQUEST_ID: &str = "x-request-id";

/// The room behind it.
pub(crate) struct Door<S> {
    pub(crate) room: Room<S>,
}

/// What a request turned out to be.
struct Entered<S, O> {
    call: Call<S>,
    operation: O,
    body: Bytes,
}

/// How an operation's body travels.
#[derive(Clone, Copy)]
enum BodyKind {
    Json,
    Bytes { size_max: usize },
}

/// Adds the route of an operation with a JSON answer.
pub(crate) fn route<S, O, F, A, E>(router: Router, door: &Arc<Door<S>>, handler: F) -> Router
where
    S: Send + Sync + 'static,
    O: Operation,
    F: Fn(Call<S>, O) -> A + Send + Sync + 'static,
    A: Future<Output = Result<O::Reply, E>> + Send + 'static,
    E: Into<Problem> + 'static,
{
    let handler = Arc::new(handler);
    add::<S, O, _, _>(router, door, BodyKind::Json, move |entered: Entered<S, O>| {
        let handler = Arc::clone(&handler);
        async move {
            let earlier = match &entered.call.repeat {
                Some(repeat) => repeat.earlier::<O::Reply>(entered.call.db()).await?,
                None => None,
            };
            let reply = match earlier {
                Some((reply, awaited)) => {
                    entered.call.followed_to(awaited.unwrap_or(0)).await;
                    reply
                }
                None => handler(entered.call, entered.operation).await.map_err(Into::into)?,
            };
            json(StatusCode::OK, "application/json", &reply)
        }
    })
}

/// Adds the route of an operation whose body is bytes.
pub(crate) fn upload_route<S, O, F, A, E>(
    router: Router,
    door: &Arc<Door<S>>,
    size_max: usize,
    handler: F,
) -> Router
where
    S: Send + Sync + 'static,
    O: Operation,
    F: Fn(Call<S>, O, Bytes) -> A + Send + Sync + 'static,
    A: Future<Output = Result<O::Reply, E>> + Send + 'static,
    E: Into<Problem> + 'static,
{
    let handler = Arc::new(handler);
    add::<S, O, _, _>(router, door, BodyKind::Bytes { size_max }, move |entered: Entered<S, O>| {
        let handler = Arc::clone(&handler);
        async move {
            let reply = handler(entered.call, entered.operation, entered.body).await;
            let reply = reply.map_err(Into::into)?;
            json(StatusCode::OK, "application/json", &reply)
        }
    })
}

/// Adds the route of an operation that answers with bytes.
pub(crate) fn download_route<S, O, F, A, E>(
    router: Router,
    door: &Arc<Door<S>>,
    handler: F,
) -> Router
where
    S: Send + Sync + 'static,
    O: Operation,
    F: Fn(Call<S>, O) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Bytes, E>> + Send + 'static,
    E: Into<Problem> + 'static,
{
    let handler = Arc::new(handler);
    add::<S, O, _, _>(router, door, BodyKind::Json, move |entered: Entered<S, O>| {
        let handler = Arc::clone(&handler);
        async move {
            let content = handler(entered.call, entered.operation).await.map_err(Into::into)?;
            Ok(([(header::CONTENT_TYPE, "application/octet-stream")], content).into_response())
        }
    })
}

fn add<S, O, F, A>(router: Router, door: &Arc<Door<S>>, kind: BodyKind, answer: F) -> Router
where
    S: Send + Sync + 'static,
    O: Operation,
    F: Fn(Entered<S, O>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let door = Arc::clone(door);
    let filter = MethodFilter::try_from(O::METHOD).expect("operations use ordinary methods");
    let path = format!("/{}{}", O::COMPONENT, O::PATH);
    let method: MethodRouter = on(filter, move |path: RawPathParams, request: Request| {
        let (door, answer) = (Arc::clone(&door), answer.clone());
        async move {
            let id = request_id(request.headers(), &door.room);
            let (parts, mut body) = request.into_parts();
            let outcome = match enter::<S, O>(&door, id, &path, (&parts, &mut body), kind).await {
                Ok(entered) => answer(entered).await,
                Err(problem) => {
                    pass_over(&parts.headers, body).await;
                    Err(problem)
                }
            };
            finish(id, O::PERMISSION, outcome)
        }
    });
    router.route(&path, method)
}

/// Answers what is no operation of the component, in the same form as everything else.
pub(crate) fn answer_the_rest<S: Send + Sync + 'static>(
    router: Router,
    door: &Arc<Door<S>>,
) -> Router {
    let lost = |problem: fn() -> Problem| {
        let door = Arc::clone(door);
        move |request: Request| {
            let id = request_id(request.headers(), &door.room);
            async move {
                let (parts, body) = request.into_parts();
                pass_over(&parts.headers, body).await;
                finish(id, "none", Err(problem()))
            }
        }
    };
    let router = router.fallback(lost(|| Problem::not_found("operation")));
    router.method_not_allowed_fallback(lost(|| {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let detail = "this path exists, but not with this method; the `Allow` header lists the \
                      methods";
        Problem::invalid("method_not_allowed", detail).with_status(status)
    }))
}

async fn enter<S, O: Operation>(
    door: &Door<S>,
    request: RequestId,
    path: &RawPathParams,
    (parts, body): (&Parts, &mut Body),
    kind: BodyKind,
) -> Result<Entered<S, O>, Problem> {
    let room = door.room.clone();
    let guard = &room.inner().guard;
    let caller = guard.authenticate(bearer(&parts.headers)?, O::COMPONENT)?;
    let path: Vec<(&str, &str)> = path.iter().collect();
    // A long body is read only after it has been decided that it is wanted.
    let (fields, rest) = match kind {
        BodyKind::Json => (read(body, json_bytes_max(&caller)).await?, None),
        BodyKind::Bytes { size_max } => (Bytes::new(), Some((body, size_max))),
    };
    let operation = decode::<O>(&path, parts.uri.query(), &fields)?;
    guard.authorize(&caller, O::PERMISSION, &operation.resource())?;
    let body = match rest {
        Some((body, size_max)) => read(body, size_max).await?,
        None => Bytes::new(),
    };
    let repeat = repeat(parts, &caller.principal, &operation, room.seal())?;
    let from = from(&parts.headers);
    Ok(Entered { call: Call { room, caller, request, from, repeat }, operation, body })
}

/// The visitor's address: the gateway writes it over whatever a visitor says, and the console
/// passes it on.
fn from(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get(FORWARDED_FOR)?.to_str().ok()?.parse().ok()
}

/// What strangers send is held before anything is known of them, so there is little room for it.
fn json_bytes_max(caller: &Caller) -> usize {
    match caller.principal {
        Principal::Visitor => STRANGERS_BODY_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
    match token {
        Some(token) if token.len() <= TOKEN_BYTES_MAX => Ok(Some(token)),
        _ => {
            let detail = "the `Authorization` header must be `Bearer` and a token";
            Err(Problem::new(Kind::Unauthenticated, "token_unreadable", detail))
        }
    }
}

async fn read(body: &mut Body, size_max: usize) -> Result<Bytes, Problem> {
    let reading = Limited::new(body, size_max).collect();
    let read = tokio::time::timeout(BODY_TIME_MAX, reading).await.map_err(|_| {
        Problem::invalid("body_too_slow", format!("the body did not come within {BODY_TIME_MAX:?}"))
    })?;
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(cause) if cause.is::<LengthLimitError>() => {
            let detail = format!("the body is longer than {size_max} bytes");
            Err(Problem::invalid("body_too_long", detail))
        }
        Err(_) => Err(Problem::invalid("body_broken_off", "the body broke off")),
    }
}

/// Reads what is left of a body, within reason, and keeps none of it: whoever is still sending
/// would not hear the answer. Who asked whether to send it hears it at once.
async fn pass_over(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let passing = async {
        let mut left = PASSED_OVER_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_TIME_MAX, passing).await;
}

fn repeat<O: Operation>(
    parts: &Parts,
    principal: &Principal,
    operation: &O,
    seal: &Seal,
) -> Result<Option<Repeat>, Problem> {
    let Some(key) = parts.headers.get("idempotency-key") else { return Ok(None) };
    if O::METHOD != http::Method::POST {
        return Ok(None);
    }
    Repeat::of(key.to_str().unwrap_or_default(), principal, operation, seal).map(Some)
}

fn request_id<S>(headers: &HeaderMap, room: &Room<S>) -> RequestId {
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    sent.and_then(|text| text.parse().ok()).unwrap_or_else(|| RequestId::new(room.now()))
}

fn finish(id: RequestId, permission: &str, outcome: Result<Response, Problem>) -> Response {
    let mut response = outcome.unwrap_or_else(|problem| {
        if problem.kind == Kind::Internal {
            tracing::error!(request = %id, permission, %problem, "failed");
        } else {
            tracing::debug!(request = %id, permission, %problem, "refused");
        }
        problem_response(Problem { request: Some(id), ..problem })
    });
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// A problem as a response.
pub fn problem_response(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = problem.retry_after;
    let response = json(status, "application/problem+json", &problem);
    let mut response = response.unwrap_or_else(|_| status.into_response());
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn json(
    status: StatusCode,
    kind: &'static str,
    value: &impl Serialize,
) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(|cause| {
        tracing::error!(%cause, "an answer cannot be written");
        Problem::internal()
    })?;
    Ok((status, [(header::CONTENT_TYPE, kind)], body).into_response())
}

/// Answers a follower of the component's feed.
pub(crate) async fn follow_changes<S, F: Feed>(
    call: Call<S>,
    question: F::Follow,
) -> Result<api::feed::Changes, Problem> {
    let (follower, applied, lease_seconds, wait_millis) = F::asked(&question);
    if follower.is_empty() || follower.len() > 200 {
        return Err(Problem::invalid(
            "follower",
            "a follower's name must have 1 to 200 characters",
        ));
    }
    let failed = |cause: db::Error| database_failed(F::COMPONENT, &cause);
    let followers = &call.room.inner().followers;
    let lease = Duration::from_secs(lease_seconds.into());
    // Remembered first: one that is not is not answered, and asks again.
    if !followers.knows(follower).map_err(|why| not_followed(follower, why))? {
        feed::remember_follower(call.db(), follower).await.map_err(failed)?;
    }
    followers.acknowledge(follower, applied, lease).map_err(|why| not_followed(follower, why))?;
    followers.news(applied, Duration::from_millis(u64::from(wait_millis.min(5_000)))).await;
    feed::changes(call.db(), applied).await.map_err(failed)
}

fn not_followed(follower: &str, why: Refused) -> Problem {
    match why {
        Refused::Full => Problem {
            retry_after: Some(5),
            ..Problem::new(
                Kind::Exhausted,
                "followers",
                "too many copies follow this feed; stop processes that are not needed",
            )
        },
        Refused::Taken => Problem::conflict(
            "follower_taken",
            format!(
                "another process already follows this feed as `{follower}`: give one of the two \
                 another `--name`"
            ),
        ),
    }
}

/// Answers with a page of the component's feed as it stands.
pub(crate) async fn read_snapshot<S, F: Feed>(
    call: Call<S>,
    question: F::Read,
) -> Result<api::feed::Snapshot, Problem> {
    let snapshot = feed::snapshot(call.db(), F::page(&question)).await;
    snapshot.map_err(|cause| database_failed(F::COMPONENT, &cause))
}
