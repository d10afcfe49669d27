//! The way of a request, phase by phase.

mod authenticate;
mod authorize;
mod enqueue;
mod forward;
mod hold;
mod meter;
mod pages;
mod recheck;
mod resolve;
pub(crate) mod response_body;
mod stop;
mod streams;
pub(crate) mod tunnel;
pub(crate) mod visit;
pub(crate) mod worker;

use std::sync::Arc;

use http::{Request, Response, header};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use types::Principal;

use crate::{
    render::{self, Body},
    request::{
        headers::{self, Told},
        page::page_at,
        target,
    },
    state::State,
};
use resolve::Destination;
use response_body::ResponseBody;
use stop::Stop;
use visit::Visit;
use worker::Worker;

/// Answers a request, whatever it is.
pub(crate) async fn pass(
    worker: &Worker,
    mut visit: Visit,
    ambiguous: bool,
    body: Incoming,
) -> Response<ResponseBody> {
    let state = &worker.state;
    let (target, method) = (visit.head.uri.path_and_query().cloned(), visit.head.method.clone());
    let led = match target::framing(&visit.head.headers, ambiguous) {
        Ok(()) => lead(worker, &mut visit, body).await,
        Err(problem) => Err(problem.into()),
    };
    let mut response = match led {
        Ok(response) => response,
        Err(Stop::Answer(response)) => response.map(ResponseBody::Own),
        Err(Stop::Refuse(problem)) => {
            visit.trace.problem = Some(problem.code.clone());
            render::refusal(&visit.reader(&state.console), *problem).map(ResponseBody::Own)
        }
    };
    if let Some(hsts) = state.hsts.as_ref().filter(|_| visit.is_https) {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    // The platform's components sign their answers themselves.
    if !response.headers().contains_key("x-request-id") {
        response.headers_mut().insert("x-request-id", visit.id_text.clone());
    }
    let answered = visit.answered(target, method, response.status().as_u16());
    if let Some(entry) = worker.lines.begin(answered) {
        response.body_mut().accompany(entry);
    }
    response
}

async fn lead(
    worker: &Worker,
    visit: &mut Visit,
    body: Incoming,
) -> Result<Response<ResponseBody>, Stop> {
    let state = &*worker.state;
    match resolve::resolve(state, visit)? {
        Destination::Platform => {
            Ok(Box::pin(ask_platform(state, visit, body)).await.map(ResponseBody::Own))
        }
        Destination::Instance { mut route, path, held } => {
            visit.trace.route = Some(Arc::clone(&route));
            hold::hold(state, &route)?;
            if let Some(page) = page_at(&path) {
                let answer = Box::pin(pages::answer(state, visit, &route, page, body)).await?;
                return Ok(answer.map(ResponseBody::Own));
            }
            visit.sets_up = pages::sets_up(state, visit, &route, &path);
            hold::until_open(state, visit, &route)?;
            if let Some(since) = held {
                route = Box::pin(hold::until_moved(state, visit, &route, since)).await?;
            }
            let asker = authenticate::authenticate(state, visit, &route.host)?;
            if let Principal::User(user) = asker.caller.principal {
                visit.trace.user = Some(user);
            }
            let meant = authorize::authorize(state, visit, route, path, asker)?;
            visit.trace.matched = Some((Arc::clone(&meant.manifest), meant.matched));
            if let Some(job) = meant.manifest.routes[meant.matched].job.clone() {
                let job = (job.as_str(), body);
                let answer = Box::pin(enqueue::enqueue(state, visit, &meant, job)).await?;
                return Ok(answer.map(ResponseBody::Own));
            }
            forward::forward(worker, visit, meant, body).await
        }
    }
}

async fn ask_platform(state: &State, visit: &mut Visit, body: Incoming) -> Response<Body> {
    let mut request = Request::new(Body::new(body));
    std::mem::swap(request.method_mut(), &mut visit.head.method);
    std::mem::swap(request.headers_mut(), &mut visit.head.headers);
    let Visit { peer, is_https, .. } = *visit;
    let told = Told { id: &visit.id_text, peer, is_https, principal: &Principal::Visitor };
    headers::for_platform(request.headers_mut(), &told);
    let target = visit.head.uri.path_and_query().cloned();
    *request.uri_mut() = target.map(http::Uri::from).unwrap_or_default();
    // It may ask much of a processor; those that answer for instances are for these alone.
    let answering = state.rest.spawn(state.platform.clone().oneshot(request));
    answering.await.map_or_else(|_| render::broken(), |Ok(response)| response)
}
