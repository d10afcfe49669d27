//! What is granted on the platform itself: who runs it.

use api::{
    access::{Grant, ListPlatformGrants, RevokePlatformGrant},
    identity::{GetUser, User},
};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse as _, Redirect},
};
use maud::{Markup, html};
use types::{GrantId, Principal};

use crate::{
    failure::{Answer, Shown},
    form::form,
    layout::{self, Page},
    pages::{Paging, ROWS, grants::name_of},
    session::Person,
    words,
};

const PATH: &str = "/operate/grants";

pub(crate) async fn list(person: Person, Query(Paging { after }): Query<Paging>) -> Shown {
    let page = person.client.call(ListPlatformGrants { after, limit: ROWS }).await?;
    let users = users(&person, &page.items).await;
    let body = html! {
        header.title {
            h1 { "Operators" }
            p.lead { "What is granted on the platform itself, on services and on nodes." }
        }
        section.card {
            ul.rows { @for grant in &page.items { (row(&person, grant, &users)) } }
        }
        (layout::more(PATH, page.next.as_deref()))
    };
    Ok(Page::new("Operators", body))
}

/// Those who are named, as far as they can be shown.
async fn users(person: &Person, grants: &[Grant]) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    for grant in grants {
        for principal in [&grant.principal, &grant.granted_by] {
            let Principal::User(user) = *principal else { continue };
            if users.iter().any(|known| known.user == user) {
                continue;
            }
            users.extend(person.client.call(GetUser { user }).await);
        }
    }
    users
}

fn row(person: &Person, grant: &Grant, users: &[User]) -> Markup {
    let action = format!("{PATH}/{}/revocation", grant.grant);
    html! {
        li {
            div {
                div { (name_of(&grant.principal, users)) " " code { (grant.given) } }
                div.soft.small {
                    "on " (grant.on) ", granted " (words::moment(grant.created)) " by "
                    (name_of(&grant.granted_by, users))
                }
            }
            (form(&person.form_token, &action, html! { button.link.danger { "Revoke" } }))
        }
    }
}

pub(crate) async fn revoke(person: Person, Path(grant): Path<GrantId>) -> Answer {
    person.client.call(RevokePlatformGrant { grant }).await?;
    Ok(Redirect::to(PATH).into_response())
}
