//! Signing in at an instance's host, so that its pages can be used with a platform's permissions.
//!
//! The session travels in a cookie of this very host that scripts cannot read. The application
//! never sees it, and requests that change something must come from a page of this host.

use api::{
    Kind, Problem,
    configurator::Route,
    identity::{SignIn, SignOut, SignedIn},
    manifest,
};
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use types::{Secret, Timestamp};

use super::{form, query_field};
use crate::{
    answer::{Body, Stop, see},
    front::Front,
    headers::{SESSION_COOKIE, is_same_origin, session_cookie},
    pages,
    phases::authenticate::foreign,
    visit::Visit,
};

const NEXT: &str = "next";
const NEXT_BYTES_MAX: usize = 2_048;

/// Where somebody who looks at `path` signs in.
pub(crate) fn sign_in_address(path: &str, query: Option<&str>) -> String {
    let next = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let next = serde_html_form::to_string([(NEXT, next)]).unwrap_or_default();
    format!("/.mandate/sign-in?{next}")
}

/// The address to go on to; only ever a path of this host.
fn next_of(text: Option<&str>) -> String {
    local(text.unwrap_or("/")).unwrap_or_else(|| "/".to_owned())
}

fn local(text: &str) -> Option<String> {
    if text.len() > NEXT_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (path, query) =
        text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    // The one form never begins with two slashes, which would name another host.
    let path = manifest::normalise(path).filter(|path| super::page(path).is_none())?;
    match query {
        None => Some(path),
        Some(query) if !query.contains(['#', '\\']) => Some(format!("{path}?{query}")),
        Some(_) => None,
    }
}

pub(super) fn show(visit: &Visit, route: &Route) -> Response<Body> {
    let next = next_of(query_field(visit, NEXT).as_deref());
    pages::respond(StatusCode::OK, pages::sign_in(route, &next, "", None))
}

pub(super) async fn submit(
    front: &Front,
    visit: &Visit,
    route: &Route,
    body: Incoming,
) -> Result<Response<Body>, Stop> {
    // Another page must not sign somebody in as its own user.
    if is_same_origin(&visit.head.headers) == Some(false) {
        return Err(foreign().into());
    }
    let fields = form(visit, body).await?;
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let (email, next) = (field("email"), next_of(Some(field(NEXT))));
    let desk = front.desk()?;
    let operation = SignIn { email: email.to_owned(), password: Secret::new(field("password")) };
    let outcome = front.visitor.call(operation).await;
    drop(desk);
    match outcome {
        Ok(signed_in) => {
            let mut response = see(&next);
            set_cookie(&mut response, &cookie_of(&signed_in, visit.at))?;
            Ok(response)
        }
        Err(problem) if matches!(problem.kind, Kind::Unauthenticated | Kind::Invalid) => {
            let page = pages::sign_in(route, &next, email, Some(&problem.detail));
            Ok(pages::respond(StatusCode::UNAUTHORIZED, page))
        }
        Err(problem) => Err(problem.into()),
    }
}

fn cookie_of(signed_in: &SignedIn, now: Timestamp) -> String {
    let seconds = signed_in.expires.since(now).as_secs();
    cookie(signed_in.token.reveal(), seconds)
}

fn cookie(value: &str, seconds: u64) -> String {
    format!("{SESSION_COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

fn set_cookie(response: &mut Response<Body>, text: &str) -> Result<(), Problem> {
    let mut value = HeaderValue::try_from(text).map_err(|_| Problem::internal())?;
    value.set_sensitive(true);
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(())
}

pub(super) fn show_way_out(route: &Route) -> Response<Body> {
    pages::respond(StatusCode::OK, pages::sign_out(route))
}

pub(super) async fn leave(front: &Front, visit: &Visit) -> Result<Response<Body>, Stop> {
    if is_same_origin(&visit.head.headers) != Some(true) {
        return Err(foreign().into());
    }
    let mut response = see("/");
    set_cookie(&mut response, &cookie("", 0))?;
    let Some(token) = session_cookie(&visit.head.headers) else { return Ok(response) };
    let caller = front.guard.authenticate(Some(token), "identity").ok();
    if let Some(session) = caller.and_then(|caller| caller.session) {
        let desk = front.desk()?;
        front.visitor.with_token(Some(token)).call(SignOut { session }).await?;
        drop(desk);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_led_on_within_the_host_only() {
        for good in ["/", "/admin", "/admin/?a=1&b=//x", "/a%20b"] {
            assert_eq!(next_of(Some(good)), good);
        }
        assert_eq!(next_of(Some("//evil.example/x")), "/evil.example/x");
        assert_eq!(next_of(Some("/a/../..//evil")), "/evil");
        let bad = [
            "",
            "http://evil.example",
            "https:/evil",
            "javascript:alert(1)",
            "\\\\evil",
            "/\\evil",
            "/%5cevil",
            "/a\r\nset-cookie: x",
            "/.mandate/sign-out",
            "/a b",
            "/a?b#c",
            "evil",
        ];
        for bad in bad {
            assert_eq!(next_of(Some(bad)), "/", "{bad}");
        }
    }

    #[test]
    fn the_way_back_reads_back() {
        let address = sign_in_address("/admin/orders", Some("page=2&x=%26"));
        let query = address.strip_prefix("/.mandate/sign-in?").unwrap();
        let fields: Vec<(String, String)> = serde_html_form::from_str(query).unwrap();
        assert_eq!(fields, [("next".to_owned(), "/admin/orders?page=2&x=%26".to_owned())]);
    }
}
