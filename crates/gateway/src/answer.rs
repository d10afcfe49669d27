//! Answers that the gateway gives itself.

use api::{Kind, Problem};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use types::RequestId;

use crate::{front::Front, pages, visit::Visit};

/// The body of an answer.
pub(crate) type Body = axum::body::Body;

/// Why a request goes no further.
pub(crate) enum Stop {
    /// Something is wrong: a page for people, a problem document for programs.
    Refuse(Box<Problem>),
    /// It is answered.
    Answer(Box<Response<Body>>),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Refuse(Box::new(problem))
    }
}

impl From<Response<Body>> for Stop {
    fn from(response: Response<Body>) -> Self {
        Self::Answer(Box::new(response))
    }
}

/// A problem with a status that none of the eight kinds has.
pub(crate) fn problem(
    kind: Kind,
    status: StatusCode,
    code: &str,
    detail: impl Into<String>,
) -> Problem {
    let title = status.canonical_reason().unwrap_or("Problem").to_owned();
    Problem { status: status.as_u16(), title, ..Problem::new(kind, code, detail) }
}

/// A problem as whoever asks can read it.
pub(crate) fn refuse(front: &Front, visit: &Visit, problem: Problem) -> Response<Body> {
    // What it leads to is at the console, wherever this was asked.
    let reference = format!("{}{}", front.console_url(), problem.reference.trim_start_matches('/'));
    let problem = Problem { request: Some(visit.id), reference, ..problem };
    tracing::debug!(request = %visit.id, %problem, "refused");
    let mut response = if visit.wants_page {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
        pages::respond(status, pages::problem(front, &problem))
    } else {
        chassis::problem_response(problem.clone())
    };
    let headers = response.headers_mut();
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Leads a browser to another address, with a GET.
pub(crate) fn see(address: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    let location = HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("/"));
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

/// Says which request it was, so that a person can ask about it.
pub(crate) fn sign(response: &mut Response<Body>, id: RequestId) {
    sign_headers(response.headers_mut(), id);
}

/// Names the request in a request's or an answer's headers.
pub(crate) fn sign_headers(headers: &mut HeaderMap, id: RequestId) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert("x-request-id", value);
    }
}

/// What is left to say where answering itself broke.
pub(crate) fn broken() -> Response<Body> {
    chassis::problem_response(Problem::internal())
}
