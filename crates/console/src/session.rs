//! Who is looking: the cookie, and the frame that pages are drawn in.
//!
//! The session is the token that identity gave, in a cookie that no script can read and that goes
//! to this host alone. Nothing of it is kept here; what it is worth, identity says on each request.
//!
//! A script of a neighbouring host can plant a cookie of the same name by a `Domain`. Over HTTPS our
//! names begin with `__Host-`, which a browser lets nobody set for another host. Over plain HTTP
//! each of a name is tried, so that a planted one locks nobody out, and the session that was begun
//! last counts.

use api::{
    Client, Kind, Problem,
    http::{FORWARDED_FOR, token::TOKEN_BYTES_MAX},
    identity::WhoAmI,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use types::{Digest, Secret, Timestamp};

use crate::{
    Console,
    answer::{Failure, Page},
    failure,
    form::random_hex,
    layout,
    names::Names,
    paths,
    rights::Rights,
    visitor::Visitor,
};

const SESSION: &str = "mandate_session";
/// Binds the forms of somebody who is not signed in.
const VISIT: &str = "mandate_visit";
/// So many cookies of one name are looked at.
const COOKIES_MAX: usize = 16;
/// Sent by the page's own script, which wants a page without its frame.
const FRAGMENT: &str = "x-fragment";

/// Finds out who is looking, lets the page be made, and draws it in its frame.
pub(crate) async fn frame(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let secure = request.headers().get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let tokens = cookies(request.headers(), SESSION, secure);
    let mut visits = cookies(request.headers(), VISIT, secure);
    visits.retain(|visit| visit.len() == 32);
    let is_new = visits.is_empty();
    if is_new {
        visits.push(random_hex());
    }
    let client = console.client.with_address(request.headers().get(FORWARDED_FOR));
    let visitor = match recognise(&client, &tokens, &visits, console.clock.now()).await {
        Ok(visitor) => visitor,
        Err(problem) => {
            return layout::document(None, "/", &failure::page(&problem)).into_response();
        }
    };
    let place = Place::of(&request);
    request.extensions_mut().insert(visitor.clone());
    let mut response = drawn(&visitor, &place, next.run(request).await).await;
    let turn = response.extensions_mut().remove::<Turn>();
    let turn = turn.or_else(|| visitor.is_expired.then_some(Turn::End));
    let lax = |value: &str, rest: &str| cookie(SESSION, value, &format!("Lax{rest}"), secure);
    match turn {
        // Lax and not Strict: a link on an instance's page that leads here should find its owner
        // signed in. Forms do not rely on it.
        Some(Turn::Begin(token)) => {
            let gone = cookie(VISIT, "", "Strict; Max-Age=0", secure);
            set(&mut response, [lax(token.reveal(), ""), gone]);
        }
        Some(Turn::End) => set(&mut response, [lax("", "; Max-Age=0")]),
        None if is_new && visitor.user.is_none() && place.method == Method::GET => {
            set(&mut response, [cookie(VISIT, &visits[0], "Strict", secure)]);
        }
        None => {}
    }
    response
}

/// Where the request was for.
struct Place {
    method: Method,
    path: String,
    target: String,
    is_fragment: bool,
}

impl Place {
    fn of(request: &Request) -> Self {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            target: target.to_owned(),
            is_fragment: request.headers().contains_key(FRAGMENT),
        }
    }
}

/// A token that is worth nothing any more makes a visitor, not an error.
async fn recognise(
    client: &Client,
    tokens: &[String],
    visits: &[String],
    now: Timestamp,
) -> Result<Visitor, Problem> {
    let mut found: Option<Visitor> = None;
    for token in tokens {
        let client = client.with_token(Some(token));
        match client.call(WhoAmI {}).await {
            Err(problem) if problem.is_transient() => return Err(problem),
            Ok(me) if me.user.is_some() => {
                let (user, session, form_token) = (me.user, me.session, form_token(token));
                let form_tokens = vec![form_token.clone()];
                let is_expired = false;
                let one =
                    Visitor { client, form_token, form_tokens, user, is_expired, session, now };
                if found.as_ref().is_none_or(|other| other.session < session) {
                    found = Some(one);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
    let form_tokens: Vec<_> = visits.iter().map(|visit| form_token(visit)).collect();
    Ok(found.unwrap_or_else(|| Visitor {
        client: client.clone(),
        form_token: form_tokens.first().cloned().unwrap_or_default(),
        form_tokens,
        user: None,
        is_expired: !tokens.is_empty(),
        session: None,
        now,
    }))
}

/// What a form carries: it can be made from the cookie only, which no other page can read.
fn form_token(cookie: &str) -> String {
    Digest::of(format!("mandate console form v1\n{cookie}").as_bytes()).hex().to_owned()
}

async fn drawn(visitor: &Visitor, place: &Place, mut response: Response) -> Response {
    let page =
        match (response.extensions_mut().remove::<Page>(), response.extensions_mut().remove()) {
            (Some(page), _) => page,
            (None, Some(failure)) => match leads_away(place, &failure) {
                Some(away) => return away,
                None => failure::page(&named(visitor, failure.problem)),
            },
            (None, None) => match response.status() {
                status if status.is_client_error() => {
                    failure::page(&Problem::not_found("page")).with_status(status)
                }
                _ => return response,
            },
        };
    if place.is_fragment {
        return (page.status, Html(page.body.into_string())).into_response();
    }
    let rights = Rights::of(visitor).await;
    let document = layout::document(Some((visitor, &rights)), &place.path, &page).into_response();
    let (mut parts, _) = response.into_parts();
    let (drawn, body) = document.into_parts();
    parts.status = drawn.status;
    parts.headers.extend(drawn.headers);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// The platform knows people by ids; they know themselves by their address.
fn named(visitor: &Visitor, problem: Problem) -> Problem {
    let detail = Names::default().and_users(&visitor.user).in_text(&problem.detail);
    Problem { detail, ..problem }
}

/// Whoever is not signed in (any more) is led to the sign-in, and from there back.
fn leads_away(place: &Place, failure: &Failure) -> Option<Response> {
    if failure.problem.kind != Kind::Unauthenticated {
        return None;
    }
    if place.is_fragment {
        return Some(StatusCode::UNAUTHORIZED.into_response());
    }
    let here = if place.method == Method::GET { place.target.as_str() } else { "/" };
    let back = failure.back.as_deref().unwrap_or(here);
    let mut response = Redirect::to(&paths::sign_in(back)).into_response();
    end(&mut response);
    Some(response)
}

/// What becomes of the session with an answer; the frame sets the cookie.
#[derive(Clone)]
enum Turn {
    Begin(Secret),
    End,
}

/// Begins a session: `response` hands out the cookie.
pub(crate) fn begin(response: &mut Response, token: Secret) {
    response.extensions_mut().insert(Turn::Begin(token));
}

/// Ends a session: `response` takes the cookie back.
pub(crate) fn end(response: &mut Response) {
    response.extensions_mut().insert(Turn::End);
}

fn cookie(name: &str, value: &str, same_site: &str, secure: bool) -> String {
    let (name, secure) = (cookie_name(name, secure), if secure { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}{secure}")
}

fn cookie_name(name: &str, secure: bool) -> String {
    if secure { format!("__Host-{name}") } else { name.to_owned() }
}

fn set<const N: usize>(response: &mut Response, cookies: [String; N]) {
    for cookie in cookies {
        // A token is base64 and dots, so it always makes a header.
        if let Ok(value) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
}

/// The cookies of that name.
fn cookies(headers: &HeaderMap, name: &str, secure: bool) -> Vec<String> {
    let name = cookie_name(name, secure);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let values = values.filter(|value| !value.is_empty() && value.len() <= TOKEN_BYTES_MAX);
    values.take(COOKIES_MAX).map(str::to_owned).collect()
}
