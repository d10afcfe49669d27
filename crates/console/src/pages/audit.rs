//! Who granted and revoked what.

use api::access::{AuditEntry, ListAudit};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::{AccountId, Permission};

use crate::{
    answer::{Page, Shown},
    layout,
    names::{Ids, Names},
    paging::{Paging, ROWS},
    paths,
    visitor::Person,
    words,
};

pub(crate) async fn list(
    person: Person,
    Path(account): Path<AccountId>,
    Query(Paging { after }): Query<Paging>,
) -> Shown {
    let page = person.client.call(ListAudit { account, after, limit: ROWS }).await?;
    let mut ids = Ids::default();
    for entry in &page.items {
        ids.principal(&entry.by);
        ids.resource(&entry.on);
        ids.text(&entry.detail);
    }
    let names = Names::of(&person, ids).await;
    let body = html! {
        header.title { h1 { "Audit" } p.lead { "Who granted and revoked what, the newest first." } }
        @if page.items.is_empty() {
            (layout::nothing("Nothing was granted or revoked yet."))
        } @else {
            div.wide tabindex="0" { table {
                thead { tr { th { "When" } th { "Who" } th { "Did" } th { "On" } th { "What" } } }
                tbody { @for entry in &page.items { (row(entry, &names)) } }
            } }
        }
        (layout::more(&paths::of(account, "audit"), page.next.as_deref()))
    };
    Ok(Page::new("Audit", body))
}

fn row(entry: &AuditEntry, names: &Names) -> Markup {
    html! {
        tr {
            td { (words::moment(entry.at)) }
            td { (names.principal(&entry.by)) }
            td { (did(&entry.action)) }
            td { (names.resource(&entry.on)) }
            td title={ "request " (entry.request) } {
                (words::sentence(&names.in_text(&entry.detail)))
            }
        }
    }
}

fn did(action: &Permission) -> Markup {
    html! {
        @match action.as_str() {
            "access.createGrant" | "access.putGrant" => "granted",
            "access.revokeGrant" | "access.revokePlatformGrant" => "revoked",
            other => code.small { (other) },
        }
    }
}
