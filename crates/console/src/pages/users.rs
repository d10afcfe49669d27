//! The users of an account, and what they may do with all of it.

use api::{
    Kind, Problem,
    identity::{CreateUser, ListUsers, User},
};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse, Redirect},
};
use maud::{Markup, html};
use types::{AccountId, Resource, Secret};

use crate::{
    access::{self, Access},
    answer::{Answer, Page, Shown},
    failure,
    form::{Draft, Fields, form},
    layout,
    paging::{Paging, ROWS},
    paths,
    visitor::Person,
    words,
};

pub(crate) async fn list(
    person: Person,
    Path(account): Path<AccountId>,
    Query(paging): Query<Paging>,
) -> Shown {
    draw(&person, account, paging, &Draft::default()).await
}

async fn draw(
    person: &Person,
    account: AccountId,
    Paging { after }: Paging,
    draft: &Draft,
) -> Shown {
    let (users, access) = tokio::join!(
        person.client.call(ListUsers { account, after, limit: ROWS }),
        Access::load(person, account, None),
    );
    let users = users?;
    let on = Resource::Account(account);
    let body = html! {
        header.title {
            h1 { "Users" }
            p.lead { "Whoever is added may do nothing until something is granted." }
        }
        @if let Some(problem) = &draft.problem { (failure::notice(problem)) }
        div.beside {
            div {
                section.card { (table(&users.items, person)) }
                (layout::more(&paths::of(account, "users"), users.next.as_deref()))
                @if !person.is_operator() {
                    section.card { h2 { "Add a user" } (add_form(person, account, draft)) }
                }
            }
            section.card #access {
                h2 { "On the whole account" }
                (access::section(person, &access, &on, draft))
            }
        }
    };
    let page = Page::new("Users", body);
    Ok(page.refused(draft.problem.as_ref()))
}

fn table(users: &[User], person: &Person) -> Markup {
    html! {
        ul.rows { @for user in users { li {
            div {
                div {
                    strong { (user.email) }
                    @if user.user == person.user.user { " " span.chip { "you" } }
                }
                div.soft.small { "since " (words::moment(user.created)) }
            }
        } } }
    }
}

fn add_form(person: &Person, account: AccountId, draft: &Draft) -> Markup {
    let content = html! {
        (draft.once())
        label.field { span { "E-mail" }
            input type="email" name="email" value=(draft.fields.get("email")) required
                maxlength="254"
                autocomplete="off";
        }
        label.field { span { "First password" }
            input type="password" name="password" required minlength="10" maxlength="200"
                autocomplete="new-password";
            small { "At least 10 characters. Tell it to them in person." }
        }
        button { "Add" }
    };
    form(&person.form_token, &paths::of(account, "users"), content)
}

pub(crate) async fn add(person: Person, Path(account): Path<AccountId>, fields: Fields) -> Answer {
    let operation = CreateUser {
        account,
        email: fields.get("email").into(),
        password: Secret::new(fields.exact("password")),
    };
    let asked = match fields.once() {
        Ok(once) => person.client.call_once(operation, once).await,
        Err(problem) => Err(problem),
    };
    match asked {
        Ok(_) => Ok(Redirect::to(&paths::of(account, "users")).into_response()),
        Err(problem) => refused(&person, account, fields, problem).await,
    }
}

/// The page again, with what was filled in and why it was refused.
pub(crate) async fn refused(
    person: &Person,
    account: AccountId,
    fields: Fields,
    problem: Problem,
) -> Answer {
    if problem.kind == Kind::Unauthenticated {
        return Err(problem.into());
    }
    let draft = Draft::refused(fields, problem);
    Ok(draw(person, account, Paging::default(), &draft).await?.into_response())
}
