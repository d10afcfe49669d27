//! What is granted on the platform itself: who runs it.

use api::access::{Grant, ListPlatformGrants, RevokePlatformGrant};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse as _, Redirect},
};
use maud::{Markup, html};
use types::{GrantId, Grantable};

use crate::{
    answer::{Answer, Page, Shown},
    form::form,
    layout,
    names::{Ids, Names},
    paging::{Paging, ROWS},
    visitor::Person,
    words,
};

const PATH: &str = "/operate/grants";

pub(crate) async fn list(person: Person, Query(Paging { after }): Query<Paging>) -> Shown {
    let page = person.client.call(ListPlatformGrants { after, limit: ROWS }).await?;
    let mut ids = Ids::default();
    for grant in &page.items {
        ids.principal(&grant.principal);
        ids.principal(&grant.granted_by);
        ids.resource(&grant.on);
    }
    let known = Names::of(&person, ids).await;
    let body = html! {
        header.title {
            h1 { "Operators" }
            p.lead { "What is granted on the platform itself, on services and on nodes." }
        }
        section.card {
            ul.rows { @for grant in &page.items { (row(&person, grant, &known)) } }
        }
        (layout::more(PATH, page.next.as_deref()))
    };
    Ok(Page::new("Operators", body))
}

fn row(person: &Person, grant: &Grant, names: &Names) -> Markup {
    let action = format!("{PATH}/{}/revocation", grant.grant);
    html! {
        li {
            div {
                div { strong { (names.principal(&grant.principal)) } " " (may(&grant.given)) }
                div.soft.small {
                    "on " (names.resource(&grant.on)) ", granted " (words::moment(grant.created)) " by "
                    (names.principal(&grant.granted_by))
                }
            }
            (form(&person.form_token, &action, html! { button.link.danger { "Revoke" } }))
        }
    }
}

fn may(given: &Grantable) -> Markup {
    html! {
        @match given {
            Grantable::Operator => "runs the platform",
            other => { "may " code { (other) } },
        }
    }
}

pub(crate) async fn revoke(person: Person, Path(grant): Path<GrantId>) -> Answer {
    person.client.call(RevokePlatformGrant { grant }).await?;
    Ok(Redirect::to(PATH).into_response())
}
