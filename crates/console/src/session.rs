//! Who is looking: the cookie, and the frame that pages are drawn in.
//!
//! The session is the token that identity gave, in a cookie that no script can read and that goes
//! to this host alone. Nothing of it is kept here; what it is worth, identity says on each request.

use api::{
    Client, Kind, Problem,
    http::{FORWARDED_FOR, token::TOKEN_BYTES_MAX},
    identity::{User, WhoAmI},
};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use types::{AccountId, Digest, Secret, SessionId};

use crate::{
    Console, failure,
    failure::Failure,
    form::random_hex,
    layout::{self, Page},
    paths,
};

const SESSION: &str = "mandate_session";
/// Binds the forms of somebody who is not signed in.
const VISIT: &str = "mandate_visit";
/// Sent by the page's own script, which wants a page without its frame.
const FRAGMENT: &str = "x-fragment";

/// Whoever looks at a page.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Asks the platform with this person's rights, or as nobody.
    pub(crate) client: Client,
    /// What the forms on this person's pages carry.
    pub(crate) form_token: String,
    /// Who it is, if they are signed in.
    pub(crate) user: Option<User>,
    /// Whether they were signed in, and the session has ended.
    pub(crate) is_expired: bool,
    session: Option<SessionId>,
}

/// Somebody who is signed in. A page that takes one leads everybody else to the sign-in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) form_token: String,
    pub(crate) user: User,
    pub(crate) session: Option<SessionId>,
}

impl Person {
    /// Whether this person belongs to no customer.
    pub(crate) fn is_operator(&self) -> bool {
        self.user.account.is_none()
    }

    /// The customer whom the person belongs to; whoever belongs to none can order nothing.
    pub(crate) fn account(&self) -> Result<AccountId, Problem> {
        let detail = "you run the platform and belong to no account; open an account to order";
        self.user.account.ok_or_else(|| Problem::new(Kind::Denied, "no_account", detail))
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal().into())
    }
}

impl<S: Sync> FromRequestParts<S> for Person {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let Visitor { client, form_token, user, session, .. } = visitor;
        let detail = "this page is for people who are signed in";
        let user = user.ok_or_else(|| Problem::new(Kind::Unauthenticated, "sign_in", detail))?;
        Ok(Self { client, form_token, user, session })
    }
}

/// Finds out who is looking, lets the page be made, and draws it in its frame.
pub(crate) async fn frame(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let secure = request.headers().get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let token = cookie(request.headers(), SESSION);
    let visit = cookie(request.headers(), VISIT).filter(|visit| visit.len() == 32);
    let is_new = visit.is_none();
    let visit = visit.unwrap_or_else(random_hex);
    let client = console.client.with_address(request.headers().get(FORWARDED_FOR));
    let visitor = match recognise(client, token.as_deref(), &visit).await {
        Ok(visitor) => visitor,
        Err(problem) => {
            return layout::document(None, "/", &failure::page(&problem)).into_response();
        }
    };
    let place = Place::of(&request);
    request.extensions_mut().insert(visitor.clone());
    let mut response = drawn(&visitor, &place, next.run(request).await);
    if visitor.is_expired && !sets_session(&response) {
        end(&mut response);
    }
    if is_new && visitor.user.is_none() && place.method == Method::GET {
        set_cookie(&mut response, VISIT, &visit, &secured("HttpOnly; SameSite=Strict", secure));
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
async fn recognise(client: Client, token: Option<&str>, visit: &str) -> Result<Visitor, Problem> {
    let nobody = Visitor {
        client: client.clone(),
        form_token: form_token(visit),
        user: None,
        is_expired: token.is_some(),
        session: None,
    };
    let Some(token) = token else { return Ok(nobody) };
    let client = client.with_token(Some(token));
    match client.call(WhoAmI {}).await {
        Err(problem) if problem.is_transient() => Err(problem),
        Ok(me) if me.user.is_some() => {
            let form_token = form_token(token);
            let (user, session) = (me.user, me.session);
            Ok(Visitor { client, form_token, user, is_expired: false, session })
        }
        Ok(_) | Err(_) => Ok(nobody),
    }
}

/// What a form carries: it can be made from the cookie only, which no other page can read.
fn form_token(cookie: &str) -> String {
    Digest::of(format!("mandate console form v1\n{cookie}").as_bytes()).hex().to_owned()
}

fn drawn(visitor: &Visitor, place: &Place, mut response: Response) -> Response {
    let page =
        match (response.extensions_mut().remove::<Page>(), response.extensions_mut().remove()) {
            (Some(page), _) => page,
            (None, Some(Failure(problem))) => match leads_away(place, &problem) {
                Some(away) => return away,
                None => failure::page(&problem),
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
    let document = layout::document(Some(visitor), &place.path, &page).into_response();
    let (mut parts, _) = response.into_parts();
    let (drawn, body) = document.into_parts();
    parts.status = drawn.status;
    parts.headers.extend(drawn.headers);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// Whoever is not signed in (any more) is led to the sign-in, and from there back.
fn leads_away(place: &Place, problem: &Problem) -> Option<Response> {
    if problem.kind != Kind::Unauthenticated {
        return None;
    }
    if place.is_fragment {
        return Some(StatusCode::UNAUTHORIZED.into_response());
    }
    let back = if place.method == Method::GET { place.target.as_str() } else { "/" };
    let mut response = Redirect::to(&paths::sign_in(back)).into_response();
    end(&mut response);
    Some(response)
}

/// Begins a session: `response` hands out the cookie.
pub(crate) fn begin(response: &mut Response, token: &Secret, headers: &HeaderMap) {
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    // Lax and not Strict: a link on an instance's page that leads here should find its owner
    // signed in. Forms do not rely on it.
    set_cookie(response, SESSION, token.reveal(), &secured("HttpOnly; SameSite=Lax", secure));
    set_cookie(response, VISIT, "", "HttpOnly; SameSite=Strict; Max-Age=0");
}

/// Ends a session: `response` takes the cookie back.
pub(crate) fn end(response: &mut Response) {
    set_cookie(response, SESSION, "", "HttpOnly; SameSite=Lax; Max-Age=0");
}

fn secured(attributes: &str, secure: bool) -> String {
    if secure { format!("{attributes}; Secure") } else { attributes.to_owned() }
}

fn set_cookie(response: &mut Response, name: &str, value: &str, attributes: &str) {
    // A token is base64 and dots, so it always makes a header.
    if let Ok(value) = HeaderValue::try_from(format!("{name}={value}; Path=/; {attributes}")) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn sets_session(response: &Response) -> bool {
    let cookies = response.headers().get_all(header::SET_COOKIE);
    cookies.iter().any(|value| value.as_bytes().starts_with(SESSION.as_bytes()))
}

/// The cookie `name`. If there are two, a neighbouring host has put one there, and neither counts.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let value =
        values.next().filter(|value| !value.is_empty() && value.len() <= TOKEN_BYTES_MAX)?;
    values.next().is_none().then(|| value.to_owned())
}
