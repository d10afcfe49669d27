//! Choosing another password: with the one until now, or with a link that was sent.

use api::{
    Problem,
    identity::{ChangePassword, RequestPasswordReset, ResetPassword, SignIn},
};
use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use types::Secret;

use crate::{
    answer::{Answer, Page},
    failure,
    form::{Draft, Fields, form},
    pages::entry::{email_field, entrance},
    session,
    visitor::{Person, Visitor},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    token: String,
}

pub(crate) async fn forgot_page(visitor: Visitor) -> Page {
    forgotten(&visitor, &Draft::default())
}

fn forgotten(visitor: &Visitor, draft: &Draft) -> Page {
    let fields = html! {
        (email_field(&draft.fields, draft.problem.is_none()))
        button { "Send me a link" }
    };
    let other = html! { "Remembered it? " a href="/sign-in" { "Sign in" } "." };
    let form = form(&visitor.form_token, "/forgot-password", fields);
    entrance("A new password", form, other, draft)
}

pub(crate) async fn forgot(visitor: Visitor, fields: Fields) -> Page {
    let email = fields.get("email").to_owned();
    match visitor.client.with_token(None).call(RequestPasswordReset { email }).await {
        Err(problem) => forgotten(&visitor, &Draft::refused(fields, problem)),
        Ok(_) => Page::new(
            "A new password",
            html! {
                section.narrow {
                    h1 { "Look into your mail" }
                    p { "If somebody has that address, a link to choose a new password is on its way. "
                        "It is good once, for half an hour." }
                }
            },
        ),
    }
}

pub(crate) async fn reset_page(visitor: Visitor, Query(link): Query<Link>) -> Page {
    resetting(&visitor, &link.token, &Draft::default())
}

fn resetting(visitor: &Visitor, token: &str, draft: &Draft) -> Page {
    let fields = html! {
        input type="hidden" name="token" value=(token);
        (new_password())
        button { "Choose it" }
    };
    let other = html! { a href="/forgot-password" { "Ask for another link" } };
    let form = form(&visitor.form_token, "/reset-password", fields);
    entrance("Choose a new password", form, other, draft)
}

fn new_password() -> Markup {
    html! {
        label.field { span { "New password" }
            input type="password" name="new_password" required minlength="10" maxlength="200"
                autocomplete="new-password";
            small { "At least 10 characters. All your sessions end." }
        }
    }
}

pub(crate) async fn reset(visitor: Visitor, fields: Fields) -> Response {
    let token = fields.get("token").to_owned();
    let new_password = Secret::new(fields.exact("new_password"));
    let operation = ResetPassword { token: Secret::new(token.as_str()), new_password };
    match visitor.client.with_token(None).call(operation).await {
        Ok(_) => Redirect::to("/sign-in").into_response(),
        Err(problem) => {
            resetting(&visitor, &token, &Draft::refused(fields, problem)).into_response()
        }
    }
}

pub(crate) async fn change_page(person: Person) -> Page {
    changing(&person, None)
}

fn changing(person: &Person, problem: Option<&Problem>) -> Page {
    let fields = html! {
        label.field { span { "Password until now" }
            input type="password" name="password" required maxlength="200"
                autocomplete="current-password";
        }
        (new_password())
        button { "Change it" }
    };
    let body = html! {
        section.narrow {
            h1 { "Change your password" }
            @if let Some(problem) = problem { (failure::notice(problem)) }
            div.card { (form(&person.form_token, "/password", fields)) }
        }
    };
    let page = Page::new("Change your password", body);
    page.refused(problem)
}

pub(crate) async fn change(person: Person, fields: Fields) -> Answer {
    let new_password = Secret::new(fields.exact("new_password"));
    let password = Secret::new(fields.exact("password"));
    let operation = ChangePassword { password, new_password: new_password.clone() };
    if let Err(problem) = person.client.call(operation).await {
        return Ok(changing(&person, Some(&problem)).into_response());
    }
    let sign_in = SignIn { email: person.user.email, password: new_password };
    let begun = person.client.with_token(None).call(sign_in).await?;
    let mut response = Redirect::to("/").into_response();
    session::begin(&mut response, begun.token);
    Ok(response)
}
