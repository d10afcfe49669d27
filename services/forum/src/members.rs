//! Members: joining, signing in and out, and who they are.

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, Query},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    badges,
    error::Error,
    pages::{self, page},
    secrets,
    store::members::{self, Member},
    text,
    visit::{App, Fields, SESSION, Visit, see, session},
};

const MEMBERS_A_PAGE: usize = 60;
const SESSION_LASTS: Duration = Duration::from_hours(30 * 24);

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/members", get(list))
        .route("/join", get(joining).post(join))
        .route("/login", get(signing_in).post(sign_in))
        .route("/logout", post(sign_out))
        .route("/invitations/{token}", get(invited).post(accept))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: String,
}

async fn list(visit: Visit, Query(after): Query<After>) -> Result<Response, Error> {
    let limit = i64::try_from(MEMBERS_A_PAGE + 1).expect("a page is small");
    let mut found = members::records(&visit.db, &after.after, limit).await?;
    let more = found.len() > MEMBERS_A_PAGE;
    found.truncate(MEMBERS_A_PAGE);
    let content = html! {
        h1 { "Members" }
        @if found.is_empty() { div.card.empty { p { "Nobody has joined yet." } } }
        ul.people {
            @for member in &found {
                li.card {
                    (pages::avatar(Some(&member.name)))
                    div.main {
                        span.name { (member.name) }
                        div.meta {
                            (pages::counted(member.posts, "post"))
                            " · joined " (pages::ago(member.joined_at, visit.now))
                        }
                        @if visit.tenant.has("badges") { (badges::row(member)) }
                    }
                }
            }
        }
        @if let Some(last) = found.last().filter(|_| more) {
            p.more { a href={ "/members?after=" (last.name) } { "More members" } }
        }
    };
    Ok(page(&visit, "Members", &content))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entered {
    name: String,
    email: String,
    password: String,
}

async fn joining(visit: Visit) -> Response {
    page(&visit, "Join", &join_form(&visit, &Entered::default(), None))
}

fn join_form(visit: &Visit, entered: &Entered, problem: Option<&str>) -> Markup {
    html! {
        form.card.narrow method="post" action="/join" {
            h1 { "Join " (visit.forum) }
            (pages::problem(problem))
            (name_field(&entered.name))
            label {
                span { "E-mail" }
                input name="email" type="email" value=(entered.email) maxlength="254"
                    autocomplete="email" required;
            }
            (password_field("new-password", "At least 8 characters."))
            p.actions { button { "Join" } }
            p.meta { "Already a member? " a href="/login" { "Sign in" } }
        }
    }
}

fn name_field(name: &str) -> Markup {
    html! {
        label {
            span { "Name" }
            input name="name" value=(name) maxlength="32" autocomplete="username" required
                autofocus;
        }
    }
}

fn password_field(kind: &str, help: &str) -> Markup {
    html! {
        label {
            span { "Password" }
            input name="password" type="password" maxlength="200" autocomplete=(kind) required;
            @if !help.is_empty() { small { (help) } }
        }
    }
}

async fn join(visit: Visit, Fields(entered): Fields<Entered>) -> Result<Response, Error> {
    match joined(&visit, &entered).await {
        Err(Error::Invalid(why) | Error::Taken(why)) => {
            let form = join_form(&visit, &entered, Some(&why));
            Ok(pages::refused(&visit, "Join", &form))
        }
        member => welcome(&visit, &member?).await,
    }
}

async fn joined(visit: &Visit, entered: &Entered) -> Result<Member, Error> {
    let member = Member {
        id: secrets::id(),
        name: text::name(&entered.name)?,
        email: text::email(&entered.email)?,
        password: Some(secrets::hash_password(text::password(&entered.password)?).await?),
        joined_at: visit.now,
    };
    match members::insert(&member, None).run(&visit.db).await? {
        0 => {
            Err(Error::Taken(format!("The name {} is taken, please choose another.", member.name)))
        }
        _ => Ok(member),
    }
}

async fn signing_in(visit: Visit) -> Response {
    page(&visit, "Sign in", &sign_in_form(&Entered::default(), None))
}

fn sign_in_form(entered: &Entered, problem: Option<&str>) -> Markup {
    html! {
        form.card.narrow method="post" action="/login" {
            h1 { "Sign in" }
            (pages::problem(problem))
            (name_field(&entered.name))
            (password_field("current-password", ""))
            p.actions { button { "Sign in" } }
            p.meta { "New here? " a href="/join" { "Join" } }
        }
    }
}

async fn sign_in(visit: Visit, Fields(entered): Fields<Entered>) -> Result<Response, Error> {
    let member = match text::name(&entered.name) {
        Ok(name) => members::by_name(&visit.db, &name).await?,
        Err(_) => None,
    };
    let hash = member.as_ref().and_then(|member| member.password.clone());
    let password: String = entered.password.chars().take(200).collect();
    match member.filter(|_| entered.password.len() == password.len()) {
        Some(member) if secrets::verify(password, hash).await? => welcome(&visit, &member).await,
        known => {
            if known.is_none() {
                secrets::verify(String::new(), None).await?;
            }
            let why = "That name and password do not belong together.";
            Ok(pages::refused(&visit, "Sign in", &sign_in_form(&entered, Some(why))))
        }
    }
}

/// Begins a session and leads to the topics.
async fn welcome(visit: &Visit, member: &Member) -> Result<Response, Error> {
    let token = secrets::token();
    let ends_at = visit.now.plus(SESSION_LASTS);
    let kept = secrets::hash_token(&token);
    members::begin_session(&visit.db, kept, &member.id, visit.now, ends_at).await?;
    Ok(with_cookie(see("/"), visit, &token, SESSION_LASTS))
}

async fn sign_out(visit: Visit, headers: HeaderMap) -> Result<Response, Error> {
    if let Some(token) = session(&headers) {
        members::end_session(&visit.db, &secrets::hash_token(token)).await?;
    }
    Ok(with_cookie(see("/"), &visit, "", Duration::ZERO))
}

fn with_cookie(mut response: Response, visit: &Visit, token: &str, lasts: Duration) -> Response {
    let secure = if visit.tenant.public_url.starts_with("https:") { "; Secure" } else { "" };
    let seconds = lasts.as_secs();
    let cookie =
        format!("{SESSION}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::try_from(cookie).expect("it is made of letters and digits");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

async fn invited(visit: Visit, Path(token): Path<String>) -> Result<Response, Error> {
    let member = members::by_invitation(&visit.db, &secrets::hash_token(&token)).await?;
    let member = member.ok_or(Error::NotFound)?;
    Ok(page(&visit, "Welcome", &invitation_form(&visit, &member, None)))
}

fn invitation_form(visit: &Visit, member: &Member, problem: Option<&str>) -> Markup {
    html! {
        form.card.narrow method="post" {
            h1 { "Welcome, " (member.name) }
            p { "You are a member of " (visit.forum) ". Choose a password to begin." }
            (pages::problem(problem))
            (password_field("new-password", "At least 8 characters."))
            p.actions { button { "Begin" } }
        }
    }
}

async fn accept(
    visit: Visit,
    Path(token): Path<String>,
    Fields(entered): Fields<Entered>,
) -> Result<Response, Error> {
    let token = secrets::hash_token(&token);
    let member = members::by_invitation(&visit.db, &token).await?.ok_or(Error::NotFound)?;
    let password = match text::password(&entered.password) {
        Err(Error::Invalid(why)) => {
            let form = invitation_form(&visit, &member, Some(&why));
            return Ok(pages::refused(&visit, "Welcome", &form));
        }
        other => secrets::hash_password(other?).await?,
    };
    match members::accept(&visit.db, &token, password).await? {
        0 => Err(Error::NotFound),
        _ => welcome(&visit, &member).await,
    }
}
