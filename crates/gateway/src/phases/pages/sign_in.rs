//! Signing in at an instance's host, so that its pages can be used with a platform's permissions.
//!
//! The password is not asked for here, where a script or service worker of the application could
//! read it, but at the console, which leads back with a code. The code is good once, at this host,
//! in the browser in which the way began; the session that it begins is good at this host only. It
//! travels in a cookie that scripts cannot read. The application never sees it, and requests that
//! change something must come from a page of this host.

use api::{
    Kind, Problem,
    configurator::Route,
    identity::{EndSession, RedeemSignInCode},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Response, StatusCode};
use types::{Digest, Principal, Secret};

use super::query_field;
use crate::{
    phases::{
        authenticate::{by_cookie, foreign},
        stop::Stop,
        visit::Visit,
    },
    render::{self, Body, see},
    request::{
        cookies::Ours,
        headers::is_same_origin,
        page::{NEXT, next_of},
    },
    state::State,
};

const BROWSER: &str = "browser";
/// How long the way through the console may take.
const WAY_SECONDS: u64 = 900;

/// Leads to the console, and remembers in the browser where it began and where it goes on.
pub(super) fn begin(state: &State, visit: &Visit, route: &Route) -> Response<Body> {
    let next = next_of(query_field(visit, NEXT).as_deref());
    let nonce = chassis::random_secret();
    let browser = digest(nonce.reveal());
    let fields = [("host", route.host.as_str()), (BROWSER, browser.hex())];
    let query = serde_html_form::to_string(fields).unwrap_or_default();
    let mut response = see(&format!("{}enter?{query}", state.console));
    let way = format!("{}.{}", nonce.reveal(), URL_SAFE_NO_PAD.encode(next));
    Ours::Way.set(response.headers_mut(), &way, WAY_SECONDS, visit.is_https);
    response
}

/// Takes the code that the console gave.
pub(super) async fn enter(
    state: &State,
    visit: &Visit,
    route: &Route,
) -> Result<Response<Body>, Stop> {
    let (code, asked) = (query_field(visit, "code"), query_field(visit, BROWSER));
    let mut ways = Ours::Way.values(&visit.head.headers, visit.is_https);
    let way = ways.find_map(|way| {
        let (nonce, next) = way.split_once('.')?;
        let browser = digest(nonce);
        (asked.as_deref() == Some(browser.hex())).then_some((browser, next))
    });
    let (Some((browser, next)), Some(code)) = (way, code) else { return Err(astray().into()) };
    let host = route.host.clone();
    let operation = RedeemSignInCode { code: Secret::new(code), host, browser };
    let outcome = state.call(operation).await;
    let signed_in = match outcome {
        Err(problem) if problem.kind == Kind::Unauthenticated => return Err(astray().into()),
        outcome => outcome?,
    };
    let next = URL_SAFE_NO_PAD.decode(next).ok().and_then(|next| String::from_utf8(next).ok());
    let mut response = see(&next_of(next.as_deref()));
    let (headers, seconds) = (response.headers_mut(), signed_in.expires.since(visit.at).as_secs());
    Ours::Session.set(headers, signed_in.token.reveal(), seconds, visit.is_https);
    Ours::Way.set(headers, "", 0, visit.is_https);
    Ok(response)
}

/// What the browser proves that it has, without showing it to the console.
fn digest(nonce: &str) -> Digest {
    Digest::of(format!("mandate way v1\n{nonce}").as_bytes())
}

fn astray() -> Problem {
    let detail = "the sign-in took too long or began in another browser; sign in again";
    Problem {
        title: "Not signed in".into(),
        ..Problem::new(Kind::Unauthenticated, "sign_in", detail)
    }
}

pub(super) fn show_way_out(route: &Route) -> Response<Body> {
    render::respond(StatusCode::OK, render::sign_out(route))
}

pub(super) async fn leave(
    state: &State,
    visit: &Visit,
    route: &Route,
) -> Result<Response<Body>, Stop> {
    if is_same_origin(&visit.head.headers, visit.is_https) != Some(true) {
        return Err(foreign().into());
    }
    let mut response = see("/");
    Ours::Session.set(response.headers_mut(), "", 0, visit.is_https);
    let Some(caller) = by_cookie(state, visit, &route.host).map(|asker| asker.caller) else {
        return Ok(response);
    };
    if let (Principal::User(user), Some(session)) = (caller.principal, caller.session) {
        match state.call(EndSession { user, session }).await {
            // It has ended already.
            Err(problem) if problem.kind != Kind::NotFound => return Err(problem.into()),
            _ => {}
        }
    }
    Ok(response)
}
