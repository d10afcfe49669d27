//! The way of a request, phase by phase.

pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod forward;
pub(crate) mod hold;
pub(crate) mod meter;
pub(crate) mod resolve;

use std::sync::Arc;

use api::http::FORWARDED_FOR;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use crate::{
    answer::{self, Body, Stop},
    front::Front,
    own, target,
    visit::Visit,
};
use resolve::Place;

/// Answers a request, whatever it is.
pub(crate) async fn pass(
    front: &Arc<Front>,
    mut visit: Visit,
    doubtful: bool,
    body: Incoming,
) -> Response<Body> {
    let led = match target::framing(&visit.head.headers, doubtful) {
        Ok(()) => lead(front, &mut visit, body).await,
        Err(problem) => Err(problem.into()),
    };
    let mut response = match led {
        Ok(response) => response,
        Err(Stop::Answer(response)) => *response,
        Err(Stop::Refuse(problem)) => answer::refuse(front, &visit, *problem),
    };
    // The platform's components sign their answers themselves.
    if !response.headers().contains_key("x-request-id") {
        answer::sign(&mut response, visit.id);
    }
    response
}

async fn lead(
    front: &Arc<Front>,
    visit: &mut Visit,
    body: Incoming,
) -> Result<Response<Body>, Stop> {
    match resolve::resolve(front, visit)? {
        Place::Platform => Ok(ask_platform(front, visit, body).await),
        Place::Instance { route, path } => {
            hold::hold(front, &route)?;
            if let Some(page) = own::page(&path) {
                return own::answer(front, visit, &route, page, body).await;
            }
            hold::until_open(front, visit, &route)?;
            let caller = authenticate::authenticate(front, visit)?;
            let meant = authorize::authorize(front, visit, route, path, &caller)?;
            forward::forward(front, visit, meant, &caller, body).await
        }
    }
}

async fn ask_platform(front: &Front, visit: &mut Visit, body: Incoming) -> Response<Body> {
    let mut request = Request::new(Body::new(body));
    std::mem::swap(request.method_mut(), &mut visit.head.method);
    std::mem::swap(request.headers_mut(), &mut visit.head.headers);
    // Where a visitor is, we have seen: what they say of it themselves does not count.
    if let Ok(peer) = HeaderValue::try_from(visit.peer.to_canonical().to_string()) {
        request.headers_mut().insert(FORWARDED_FOR, peer);
    }
    // What stands in the audit trail is our name for a request, not a visitor's.
    answer::sign_headers(request.headers_mut(), visit.id);
    let target = visit.head.uri.path_and_query().cloned();
    *request.uri_mut() = target.map(http::Uri::from).unwrap_or_default();
    let Ok(response) = front.platform.clone().oneshot(request).await;
    response
}
