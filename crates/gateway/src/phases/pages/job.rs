//! How far a job is that a request became, for whoever may make such a request.

use api::{
    Kind, Problem,
    configurator::Route,
    jobs::{GetInstanceJob, Job, JobState},
    manifest::{Access, Manifest},
};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use types::{JobId, Principal, Resource};

use crate::{
    phases::{
        authenticate::{Asker, authenticate},
        stop::Stop,
        visit::Visit,
    },
    render::{self, Body, see},
    request::page::{job_address, sign_in_address},
    state::State,
};

pub(super) async fn show(
    state: &State,
    visit: &mut Visit,
    route: &Route,
    job: JobId,
) -> Result<Response<Body>, Stop> {
    let asker = authenticate(state, visit, &route.host)?;
    let question = GetInstanceJob { account: route.account, instance: route.instance, job };
    let found = state.call(question).await.map_err(told)?;
    let manifest = state.releases.manifest(&route.release).ok_or_else(missing)?;
    if !may_see(state, route, &manifest, &found, &asker) {
        if asker.caller.principal == Principal::Visitor && visit.is_look() {
            return Err(see(&sign_in_address(&job_address(job), None)).into());
        }
        return Err(missing().into());
    }
    if visit.wants_page {
        return Ok(render::respond(StatusCode::OK, render::job(&found)));
    }
    Ok(as_json(&found))
}

/// Whether a route becomes such a job, and the asker may ask for it.
fn may_see(state: &State, route: &Route, manifest: &Manifest, job: &Job, asker: &Asker) -> bool {
    let resource = Resource::Instance(route.account, route.instance);
    let routes = manifest.routes.iter().filter(|route| route.job.as_deref() == Some(&job.name));
    let mut accesses = routes.map(|route| &route.access);
    accesses.any(|access| match access {
        Access::Public => true,
        Access::Permission(permission) => {
            state.guard.authorize(&asker.caller, permission.as_str(), &resource).is_ok()
        }
    })
}

fn as_json(job: &Job) -> Response<Body> {
    let progress = job.progress.clone().unwrap_or_default();
    let percent = if job.state == JobState::Succeeded { Some(100) } else { progress.percent };
    let content = json!({
        "job": job.job,
        "state": job.state,
        "ended": job.state.has_ended(),
        "percent": percent,
        "note": progress.note,
    });
    let mut response = Response::new(Body::from(content.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn missing() -> Problem {
    Problem::not_found("job")
}

fn told(problem: Problem) -> Problem {
    if problem.kind == Kind::NotFound {
        return missing();
    }
    tracing::warn!(%problem, "a job cannot be looked at");
    Problem::unavailable("how far it is cannot be known now; look again in a moment", 1)
}
