//! Coming in and going out.

use api::{
    Kind, Problem,
    configurator::ListInstances,
    identity::{RegisterAccount, SignIn, SignOut},
};
use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use types::Secret;

use crate::{
    answer::{Answer, Failure, Page},
    failure,
    form::{Draft, Fields, form},
    pages::enter,
    paths, session,
    visitor::{Person, Visitor},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Way {
    #[serde(default)]
    next: String,
}

/// Where somebody begins: a customer, somebody who runs the platform, or a visitor.
/// Whoever may not see the account's instances begins at what was granted to them.
pub(crate) async fn home(visitor: Visitor) -> Result<Redirect, Failure> {
    let Some(user) = visitor.user else { return Ok(Redirect::to("/catalogue")) };
    let Some(account) = user.account else { return Ok(Redirect::to("/operate/services")) };
    let question = ListInstances { account, after: None, limit: Some(1) };
    match visitor.client.call(question).await {
        Err(problem) if problem.kind == Kind::Denied => Ok(Redirect::to("/mine")),
        Err(problem) => Err(problem.into()),
        Ok(_) => Ok(Redirect::to(&paths::of(account, "instances"))),
    }
}

pub(crate) async fn sign_in_page(visitor: Visitor, Query(way): Query<Way>) -> Response {
    if visitor.user.is_some() {
        return Redirect::to(paths::local(&way.next)).into_response();
    }
    signing_in(&visitor, paths::local(&way.next), &Draft::default()).into_response()
}

pub(crate) async fn sign_in(visitor: Visitor, fields: Fields) -> Response {
    let next = paths::local(fields.get("next")).to_owned();
    signed_in(&visitor, fields, &next).await
}

async fn signed_in(visitor: &Visitor, fields: Fields, next: &str) -> Response {
    match try_sign_in(visitor, &fields, next).await {
        Ok(response) => response,
        Err(problem) => signing_in(visitor, next, &Draft::refused(fields, problem)).into_response(),
    }
}

async fn try_sign_in(visitor: &Visitor, fields: &Fields, next: &str) -> Result<Response, Problem> {
    let email = fields.get("email").to_owned();
    let password = Secret::new(fields.exact("password"));
    let begun = visitor.client.with_token(None).call(SignIn { email, password }).await?;
    let mut response = Redirect::to(next).into_response();
    session::begin(&mut response, begun.token);
    Ok(response)
}

fn signing_in(visitor: &Visitor, next: &str, draft: &Draft) -> Page {
    let fields = html! {
        input type="hidden" name="next" value=(next);
        (email_field(&draft.fields, draft.problem.is_none()))
        label.field { span { "Password" }
            input type="password" name="password" required maxlength="200"
                autocomplete="current-password";
        }
        button { "Sign in" }
    };
    let other = html! {
        "No account yet? " a href=(with_next("/register", next)) { "Open one" } ". "
        a href="/forgot-password" { "Forgot your password?" }
    };
    let form = html! {
        @if let Some(host) = enter::host_in(next) { p.soft { "to go on at " strong { (host) } } }
        (form(&visitor.form_token, "/sign-in", fields))
    };
    entrance("Sign in", form, other, draft)
}

pub(crate) async fn register_page(visitor: Visitor, Query(way): Query<Way>) -> Response {
    if visitor.user.is_some() {
        return Redirect::to("/").into_response();
    }
    registering(&visitor, paths::local(&way.next), &Draft::default()).into_response()
}

pub(crate) async fn register(visitor: Visitor, fields: Fields) -> Response {
    let next = match paths::local(fields.get("next")) {
        "/" => "/catalogue".to_owned(),
        next => next.to_owned(),
    };
    let operation = RegisterAccount {
        title: fields.get("title").into(),
        email: fields.get("email").into(),
        password: Secret::new(fields.exact("password")),
    };
    let asked = match fields.once() {
        Ok(once) => visitor.client.with_token(None).call_once(operation, once).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = asked {
        return registering(&visitor, &next, &Draft::refused(fields, problem)).into_response();
    }
    // The account is there from here on, so what fails now is a matter of signing in.
    signed_in(&visitor, fields, &next).await
}

fn registering(visitor: &Visitor, next: &str, draft: &Draft) -> Page {
    let fields = html! {
        (draft.once())
        input type="hidden" name="next" value=(next);
        label.field { span { "What you are called" }
            input name="title" value=(draft.fields.get("title")) required maxlength="100"
                autocomplete="organization" autofocus[draft.problem.is_none()];
            small { "Your company, club or own name. It is printed on the bill." }
        }
        (email_field(&draft.fields, false))
        label.field { span { "Password" }
            input type="password" name="password" required minlength="10" maxlength="200"
                autocomplete="new-password";
            small { "At least 10 characters; a short sentence is good." }
        }
        button { "Open the account" }
    };
    let other =
        html! { "Have one already? " a href=(with_next("/sign-in", next)) { "Sign in" } "." };
    entrance("Open an account", form(&visitor.form_token, "/register", fields), other, draft)
}

fn with_next(path: &str, next: &str) -> String {
    if next == "/" { path.into() } else { paths::with_query(path, &[("next", next)]) }
}

pub(crate) fn email_field(fields: &Fields, is_first: bool) -> Markup {
    html! {
        label.field { span { "E-mail" }
            input type="email" name="email" value=(fields.get("email")) required maxlength="254"
                autocomplete="username" autofocus[is_first];
        }
    }
}

pub(crate) fn entrance(title: &str, form: Markup, other: Markup, draft: &Draft) -> Page {
    let body = html! {
        section.narrow {
            h1 { (title) }
            @if let Some(problem) = &draft.problem { (failure::notice(problem)) }
            div.card { (form) }
            p.soft.centred { (other) }
        }
    };
    let page = Page::new(title, body);
    page.refused(draft.problem.as_ref())
}

/// The cookie goes once the session is worth nothing anywhere; if it cannot be ended now, one can
/// try again.
pub(crate) async fn sign_out(person: Person) -> Answer {
    if let Some(session) = person.session {
        match person.client.call(SignOut { session }).await {
            Err(problem) if problem.kind != Kind::Unauthenticated => return Err(problem.into()),
            _ => {}
        }
    }
    let mut response = Redirect::to("/sign-in").into_response();
    session::end(&mut response);
    Ok(response)
}
