//! Who granted and revoked what.

use api::{
    access::{AuditEntry, ListAudit},
    identity::{ListUsers, User},
};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::{AccountId, Principal, Resource};

use crate::{
    failure::Shown,
    layout::{self, Page},
    pages::{ALL, Paging, ROWS, grants::name_of},
    paths,
    session::Person,
    words,
};

pub(crate) async fn list(
    person: Person,
    Path(account): Path<AccountId>,
    Query(Paging { after }): Query<Paging>,
) -> Shown {
    let (page, users) = tokio::join!(
        person.client.call(ListAudit { account, after, limit: ROWS }),
        person.client.call(ListUsers { account, after: None, limit: ALL }),
    );
    let page = page?;
    let users = users.map(|page| page.items).unwrap_or_default();
    let body = html! {
        header.title { h1 { "Audit" } p.lead { "Who granted and revoked what, the newest first." } }
        @if page.items.is_empty() {
            (layout::nothing("Nothing was granted or revoked yet."))
        } @else {
            div.wide { table {
                thead { tr { th { "When" } th { "Who" } th { "Did" } th { "On" } th { "What" } } }
                tbody { @for entry in &page.items { (row(entry, &users)) } }
            } }
        }
        (layout::more(&paths::of(account, "audit"), page.next.as_deref()))
    };
    Ok(Page::new("Audit", body))
}

fn row(entry: &AuditEntry, users: &[User]) -> Markup {
    html! {
        tr {
            td { (words::moment(entry.at)) }
            td { (name_of(&entry.by, users)) }
            td { code { (entry.action) } }
            td { (resource(&entry.on)) }
            td title={ "request " (entry.request) } {
                (words::sentence(&with_names(&entry.detail, users)))
            }
        }
    }
}

/// Users by their e-mail addresses.
fn with_names(detail: &str, users: &[User]) -> String {
    users.iter().fold(detail.to_owned(), |detail, user| {
        detail.replace(&Principal::User(user.user).to_string(), &user.email)
    })
}

fn resource(on: &Resource) -> Markup {
    html! {
        @match on {
            Resource::Account(_) => "the account",
            Resource::Instance(account, id) => {
                a href=(paths::instance(*account, *id)) { code.small { (id) } }
            }
            other => code.small { (other) },
        }
    }
}
