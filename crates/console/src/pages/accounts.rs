//! All customers, for those who run the platform.

use api::identity::ListAccounts;
use axum::extract::Query;
use maud::html;

use crate::{
    answer::{Page, Shown},
    layout,
    paging::{Paging, ROWS},
    paths,
    visitor::Person,
    words,
};

pub(crate) async fn list(person: Person, Query(Paging { after }): Query<Paging>) -> Shown {
    let page = person.client.call(ListAccounts { after, limit: ROWS }).await?;
    let body = html! {
        header.title { h1 { "Accounts" } }
        @if page.items.is_empty() { (layout::nothing("No customer has registered yet.")) } @else {
            div.wide tabindex="0" { table {
                thead { tr { th { "Account" } th { "Since" } th { "Id" } th { "See" } } }
                tbody { @for account in &page.items { tr {
                    td { a href=(paths::of(account.account, "instances")) { (account.title) } }
                    td { (words::moment(account.created)) }
                    td { code.small { (account.account) } }
                    td {
                        a href=(paths::of(account.account, "instances")) { "instances" } ", "
                        a href=(paths::of(account.account, "bill")) { "bill" } ", "
                        a href=(paths::of(account.account, "users")) { "users" }
                    }
                } } }
            } }
        }
        (layout::more("/operate/accounts", page.next.as_deref()))
    };
    Ok(Page::new("Accounts", body))
}
