//! May they? The module must be the instance's, and the manifest must say who may ask.

use std::sync::Arc;

use api::{
    Kind, Problem,
    configurator::Route,
    manifest::{Access, Manifest},
};
use chassis::{Question, Words};
use http::{Method, StatusCode};
use types::{Permission, Resource};

use super::{
    authenticate::{Asker, foreign},
    stop::Stop,
    visit::Visit,
};
use crate::{render::see, request::page::sign_in_address, state::State};

/// A request that may be made.
pub(crate) struct Meant {
    /// By whom.
    pub(crate) asker: Asker,
    /// Of which instance.
    pub(crate) route: Arc<Route>,
    /// What the release is that it is on.
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) method: Method,
    /// The path in its one form.
    pub(crate) path: String,
    /// The place in the manifest of the route that it matched.
    pub(crate) matched: usize,
    /// Whether whoever asks may set the instance up at the application's own page.
    pub(crate) sets_up: bool,
}

pub(crate) fn authorize(
    state: &State,
    visit: &Visit,
    route: Arc<Route>,
    path: String,
    asker: Asker,
) -> Result<Meant, Stop> {
    let (method, sets_up) = (visit.head.method.clone(), visit.sets_up);
    let (manifest, matched) = check(state, method.as_str(), &route, &path, &asker)
        .map_err(|problem| lead_in(visit, &path, problem))?;
    Ok(Meant { asker, route, manifest, method, path, matched, sets_up })
}

/// Whether a request may be made; the service, and the route in its manifest that matches.
pub(super) fn check(
    state: &State,
    method: &str,
    route: &Route,
    path: &str,
    asker: &Asker,
) -> Result<(Arc<Manifest>, usize), Problem> {
    let Some(manifest) = state.releases.manifest(&route.release) else {
        let detail = "this gateway does not know the instance's release yet; try again";
        return Err(Problem::unavailable(detail, 2));
    };
    check_module(&manifest, route, path)?;
    let deciding = manifest.deciding(method, path);
    let Some([matched, freely]) = deciding else { return Err(unlisted(method)) };
    let resource = Resource::Instance(route.account, route.instance);
    let needed = [matched, freely].map(|place| &manifest.routes[place].access);
    // Usually both are one.
    for access in &needed[..if matched == freely { 1 } else { 2 }] {
        if let Access::Permission(permission) = access {
            let may = state.guard.authorize(&asker.caller, permission.as_str(), &resource);
            may.map_err(|problem| match problem.kind {
                Kind::Unauthenticated if asker.is_foreign => foreign(),
                Kind::Denied => named(state, problem, asker, (permission, route)),
                _ => problem,
            })?;
        }
    }
    Ok((manifest, matched))
}

/// People know themselves by their address, and the instance by its host.
fn named(
    state: &State,
    problem: Problem,
    asker: &Asker,
    (permission, route): (&Permission, &Route),
) -> Problem {
    let question = Question {
        principal: &asker.caller.principal,
        permission: permission.as_str(),
        resource: &Resource::Instance(route.account, route.instance),
    };
    let words = Words::for_the_asker(&question);
    let who = asker.caller.email.as_ref().map_or(words.who, |email| format!("you, {email},"));
    let words = Words { who, place: format!("at {}", route.host), ..words };
    Problem { detail: state.guard.explain(&question, &words).sentence, ..problem }
}

fn check_module(manifest: &Manifest, route: &Route, path: &str) -> Result<(), Problem> {
    let mut owners = manifest.modules_of(path);
    let Some((_, module)) = owners.find(|(name, _)| !route.modules.contains(*name)) else {
        return Ok(());
    };
    let detail = format!(
        "`{}` is a module that this instance does not have: its owner can add it in the console",
        module.title
    );
    let problem =
        Problem::new(Kind::NotFound, "module_off", detail).with_status(StatusCode::NOT_FOUND);
    Err(Problem { title: "Not part of this instance".into(), ..problem })
}

fn unlisted(method: &str) -> Problem {
    let detail = format!("the service's manifest has no route for `{method}` of this path");
    Problem::new(Kind::Denied, "no_route", detail).with_status(StatusCode::FORBIDDEN)
}

/// Whoever has not signed in and looks at a page is shown where.
fn lead_in(visit: &Visit, path: &str, problem: Problem) -> Stop {
    if problem.kind == Kind::Unauthenticated && visit.is_look() {
        return see(&sign_in_address(path, visit.head.uri.query())).into();
    }
    problem.into()
}
