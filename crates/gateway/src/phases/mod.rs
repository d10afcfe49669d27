//! The way of a request, phase by phase.

pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod forward;
pub(crate) mod hold;
pub(crate) mod meter;
mod queue;
pub(crate) mod resolve;

use std::sync::Arc;

use api::Problem;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use types::Principal;

use crate::{
    answer::{self, Body, Stop},
    front::Front,
    headers::{self, Told},
    own, target,
    visit::Visit,
};
use authenticate::Asker;
use authorize::Meant;
use resolve::Destination;

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
        Destination::Platform => Ok(ask_platform(front, visit, body).await),
        Destination::Instance { mut route, path, held } => {
            hold::hold(front, &route)?;
            if let Some(page) = own::page(&path) {
                return own::answer(front, visit, &route, page, body).await;
            }
            visit.sets_up = own::sets_up(front, visit, &route, &path);
            hold::until_open(front, visit, &route)?;
            if let Some(since) = held {
                route = hold::until_moved(front, visit, &route, since).await?;
            }
            let asker = authenticate::authenticate(front, visit, &route.host)?;
            let meant = authorize::authorize(front, visit, route, path, &asker)?;
            if let Some(job) = meant.manifest.routes[meant.matched].job.clone() {
                return queue::queue(front, visit, &meant, &asker, (&job, body)).await;
            }
            forward::forward(front, visit, meant, &asker, body).await
        }
    }
}

/// Judges a request again that has waited: what was closed or taken back meanwhile, and acknowledged
/// by this gateway, is closed to it too.
pub(crate) fn look_again(
    front: &Front,
    visit: &Visit,
    meant: &Meant,
    asker: &Asker,
) -> Result<(), Problem> {
    let now = front.routes.at(&meant.route.host);
    let same = now.filter(|route| route.instance == meant.route.instance);
    let route = same.ok_or_else(resolve::lost_contact)?;
    hold::hold(front, &route)?;
    hold::check_open(&route, visit)?;
    asker.check_again(front)?;
    let method = visit.head.method.as_str();
    authorize::check(front, method, &route, &meant.path, asker).map(drop)
}

async fn ask_platform(front: &Front, visit: &mut Visit, body: Incoming) -> Response<Body> {
    let mut request = Request::new(Body::new(body));
    std::mem::swap(request.method_mut(), &mut visit.head.method);
    std::mem::swap(request.headers_mut(), &mut visit.head.headers);
    let Visit { id, peer, is_https, .. } = *visit;
    let told = Told { id, peer, is_https, principal: &Principal::Visitor };
    headers::for_platform(request.headers_mut(), &told);
    let target = visit.head.uri.path_and_query().cloned();
    *request.uri_mut() = target.map(http::Uri::from).unwrap_or_default();
    let Ok(response) = front.platform.clone().oneshot(request).await;
    response
}
