//! A request becomes a job, where the manifest says so: the application does not see it.
//!
//! This is the one phase that asks a component. A job that was queued is written down there before
//! the answer is released; where it is not known whether it was, whoever asks is told to ask again,
//! which queues nothing twice if they send an `Idempotency-Key`.

use std::rc::Rc;

use api::{
    Kind, Problem,
    jobs::{EnqueueJobs, NewJob, PAYLOAD_BYTES_MAX},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use types::{Digest, JobId};

use super::{
    authorize::Meant, forward::broken_body, meter, recheck::recheck, stop::Stop, visit::Visit,
};
use crate::{
    render::{Body, see},
    request::{
        body::{Fault, Flow, Inbound, Lent},
        page::job_address,
    },
    state::State,
};

const KEY: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 200;

/// Queues the job `name` with the request's body as its payload.
pub(super) async fn enqueue(
    state: &State,
    visit: &mut Visit,
    meant: &Meant,
    (name, body): (&str, Incoming),
) -> Result<Response<Body>, Stop> {
    let key = key(visit, meant)?;
    let flow = Rc::new(Flow::default());
    visit.trace.flow = Some(Rc::clone(&flow));
    let payload = payload(state, visit, meant, (&flow, body)).await?;
    // The body may have taken its time.
    recheck(state, meant)?;
    meter::check(state, visit)?;
    let version = meant.manifest.jobs.get(name).map(|job| job.version);
    let job = NewJob { name: name.to_owned(), payload, version, ..NewJob::default() };
    let (account, instance) = (meant.route.account, meant.route.instance);
    let operation = EnqueueJobs { account, instance, jobs: vec![job] };
    let queued = state.call_once(operation, key).await.map_err(refused)?;
    let job = queued.jobs.first().copied().ok_or_else(Problem::internal)?;
    meter::of_job(state, visit, meant, StatusCode::ACCEPTED.as_u16(), &flow);
    Ok(accepted(visit, job))
}

/// What makes a request that is sent again the same: the key that whoever asks has chosen, for what
/// they ask for at this instance; a new one if they chose none.
fn key(visit: &Visit, meant: &Meant) -> Result<String, Problem> {
    let Some(chosen) = visit.head.headers.get(KEY) else { return Ok(visit.id.to_string()) };
    if chosen.is_empty() || chosen.len() > KEY_BYTES_MAX {
        let detail = format!("an idempotency key has 1 to {KEY_BYTES_MAX} characters");
        return Err(Problem::invalid("idempotency_key", detail));
    }
    let (instance, principal) = (meant.route.instance, &meant.asker.caller.principal);
    let mut whole = format!("{instance} {principal} {} {} ", visit.head.method, meant.path);
    whole.push_str(&STANDARD.encode(chosen));
    Ok(Digest::of(whole.as_bytes()).hex().to_owned())
}

/// JSON as it is; anything else as text, or as base64 where it is none, with its type.
async fn payload(
    state: &State,
    visit: &Visit,
    meant: &Meant,
    (flow, body): (&Rc<Flow>, Incoming),
) -> Result<Value, Problem> {
    let content_type = visit.head.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let bytes = read(state, meant, (flow, body)).await?;
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return serde_json::from_slice(&bytes).map_err(|cause| {
            Problem::invalid("json_unreadable", format!("the body is not JSON: {cause}"))
        });
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let payload = match std::str::from_utf8(&bytes) {
        Ok(text) if !text.contains('\0') => json!({ "content_type": content_type, "body": text }),
        _ => json!({ "content_type": content_type, "base64": STANDARD.encode(&bytes) }),
    };
    let fits = payload.to_string().len() <= PAYLOAD_BYTES_MAX;
    if fits { Ok(payload) } else { Err(too_long()) }
}

async fn read(
    state: &State,
    meant: &Meant,
    (flow, body): (&Rc<Flow>, Incoming),
) -> Result<Bytes, Problem> {
    let hint = body.size_hint();
    if hint.lower() > PAYLOAD_BYTES_MAX as u64 {
        return Err(too_long());
    }
    if hint.exact() == Some(0) {
        return Ok(Bytes::new());
    }
    let upload = state.uploads.begin(meant.route.instance)?;
    let lent = Lent::new(Some(Inbound::new(body, Rc::clone(flow), upload)), hint);
    let read = Limited::new(lent, PAYLOAD_BYTES_MAX).collect().await;
    let whole = read.map_err(|cause| match cause.downcast_ref::<Fault>() {
        Some(fault) => broken_body(*fault),
        None if cause.is::<LengthLimitError>() => too_long(),
        None => broken_body(Fault::BrokenOff),
    })?;
    Ok(whole.to_bytes())
}

fn too_long() -> Problem {
    let detail = format!(
        "the body is longer than {} KiB, the limit of a job's payload: store it elsewhere and \
         send a reference to it",
        PAYLOAD_BYTES_MAX >> 10
    );
    Problem::new(Kind::Invalid, "payload_too_long", detail)
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// Why nothing was queued, for somebody who has never heard of jobs' component.
fn refused(problem: Problem) -> Problem {
    match problem.kind {
        Kind::Invalid => problem,
        Kind::Conflict if problem.code == "idempotency_key_reused" => {
            let detail = "this `Idempotency-Key` was sent with another body: use a new one";
            Problem { detail: detail.into(), ..problem }
        }
        // Also one that is under way already, or whose instance is not known there yet.
        _ => {
            tracing::warn!(%problem, "a request could not become a job");
            let seconds = problem.retry_after.unwrap_or(1);
            Problem::unavailable("the request cannot be accepted now; send it again", seconds)
        }
    }
}

fn accepted(visit: &Visit, job: JobId) -> Response<Body> {
    let address = job_address(job);
    if visit.wants_page {
        return see(&address);
    }
    let content = json!({ "job": job, "address": address });
    let mut response = Response::new(Body::from(content.to_string()));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(address) {
        headers.insert(header::LOCATION, location);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
