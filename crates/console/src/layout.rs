//! What every page has around it.

use api::{
    Operation as _,
    access::{ListAudit, ListPlatformGrants},
    billing::GetBill,
    configurator::ListInstances,
    identity::{ListAccounts, ListUsers},
    jobs::{ListJobs, ListQueues},
    provider::ListOrders,
    releases::{ListNodes, ListServices},
};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use types::{AccountId, Resource};

use crate::{answer::Page, assets, form::form, paths, rights::Rights, visitor::Visitor};

/// A part of a page that keeps itself up to date from `path` while it has something under way.
pub(crate) fn live(path: &str, is_going: bool, content: Markup) -> Markup {
    html! { div data-live=(path) { (going(is_going)) (content) } }
}

/// The mark that what it stands in is under way.
pub(crate) fn going(is_going: bool) -> Markup {
    html! { @if is_going { span data-going="" hidden {} } }
}

/// The way to the next page of a list.
pub(crate) fn more(path: &str, next: Option<&str>) -> Markup {
    html! {
        @if let Some(next) = next {
            p.more {
                a.button.quiet href=(paths::with_query(path, &[("after", next)])) { "Show more" }
            }
        }
    }
}

/// In the place of a list that is empty.
pub(crate) fn nothing(text: &str) -> Markup {
    html! { p.nothing { (text) } }
}

/// A small title above the page's own, which leads back.
pub(crate) fn back(path: &str, title: &str) -> Markup {
    html! { p.back { a href=(path) { "← " (title) } } }
}

/// Whoever looks, and what they may look at.
type Looking<'v> = (&'v Visitor, &'v Rights);

/// The whole document.
pub(crate) fn document(visitor: Option<Looking<'_>>, path: &str, page: &Page) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " · Mandate" }
                link rel="stylesheet" href=(*assets::STYLE_PATH);
                link rel="icon" href=(*assets::MARK_PATH) type="image/svg+xml";
                @if page.is_going { noscript { meta http-equiv="refresh" content="3"; } }
            }
            body {
                a.skip href="#main" { "To the content" }
                (banner(visitor, path))
                main #main { (page.body) }
                footer { "Mandate · times are in UTC" }
                script { (PreEscaped(assets::SCRIPT)) }
            }
        }
    };
    (page.status, Html(document.into_string())).into_response()
}

fn banner(visitor: Option<Looking<'_>>, path: &str) -> Markup {
    let user = visitor.and_then(|(visitor, _)| visitor.user.as_ref());
    html! {
        header.banner {
            div.inner {
                a.brand href="/" {
                    img src=(*assets::MARK_PATH) alt="" width="22" height="22"; "Mandate"
                }
                @if let Some((visitor, rights)) = visitor {
                    nav aria-label="Pages" { (links(&places(visitor, rights), path)) }
                    div.who {
                        @if let Some(user) = user {
                            a.soft href="/password" title="Change your password" { (user.email) }
                            (sign_out(visitor))
                        } @else {
                            a href="/sign-in" { "Sign in" }
                            a.button.small href="/register" { "Open an account" }
                        }
                    }
                }
            }
        }
        @if let Some((account, rights)) = visited(visitor, path) {
            section.visited aria-label="A customer’s account" {
                div.inner {
                    span { "A customer’s account" }
                    nav aria-label="The account's pages" { (links(&account_places(account, rights, &Resource::Platform), path)) }
                }
            }
        }
    }
}

fn sign_out(visitor: &Visitor) -> Markup {
    form(&visitor.form_token, "/sign-out", html! { button.link { "Sign out" } })
}

type Place = (String, &'static str);

fn links(places: &[Place], path: &str) -> Markup {
    let is_here = |place: &str| path == place || path.starts_with(&format!("{place}/"));
    html! {
        @for (place, title) in places {
            a href=(place) aria-current=[is_here(place).then_some("page")] { (title) }
        }
    }
}

/// Only what the person is (a customer, somebody who runs the platform, or a visitor), and of that
/// what they may look at.
fn places(visitor: &Visitor, rights: &Rights) -> Vec<Place> {
    let catalogue = ("/catalogue".to_owned(), "Catalogue");
    match visitor.user.as_ref().map(|user| user.account) {
        None => vec![catalogue],
        Some(Some(account)) => {
            let on = Resource::Account(account);
            let mut places = account_places(account, rights, &on);
            if !rights.may(ListInstances::PERMISSION, &on) {
                places.insert(0, ("/mine".to_owned(), "What you may do"));
            }
            places.insert(1, catalogue);
            places
        }
        Some(None) => {
            let may = |permission| rights.may(permission, &Resource::Platform);
            let pages = OPERATORS.iter().filter(|(_, _, permission)| may(permission));
            pages.map(|(page, title, _)| (format!("/operate/{page}"), *title)).collect()
        }
    }
}

/// The pages of who runs the platform, and what each asks for.
const OPERATORS: [(&str, &str, &str); 6] = [
    ("services", "Services", ListServices::PERMISSION),
    ("nodes", "Nodes", ListNodes::PERMISSION),
    ("queues", "Queues", ListQueues::PERMISSION),
    ("work", "Jobs", ListJobs::PERMISSION),
    ("accounts", "Accounts", ListAccounts::PERMISSION),
    ("grants", "Operators", ListPlatformGrants::PERMISSION),
];

/// The pages of an account, and what each asks for.
const ACCOUNTS: [(&str, &str, &str); 5] = [
    ("instances", "Instances", ListInstances::PERMISSION),
    ("orders", "Orders", ListOrders::PERMISSION),
    ("bill", "Bill", GetBill::PERMISSION),
    ("users", "Users", ListUsers::PERMISSION),
    ("audit", "Audit", ListAudit::PERMISSION),
];

/// Those that what was granted `on` the account, or the platform, is enough for.
fn account_places(account: AccountId, rights: &Rights, on: &Resource) -> Vec<Place> {
    let pages = ACCOUNTS.iter().filter(|(_, _, permission)| rights.may(permission, on));
    pages.map(|(page, title, _)| (paths::of(account, page), *title)).collect()
}

/// The account that an operator is looking at.
fn visited<'v>(visitor: Option<Looking<'v>>, path: &str) -> Option<(AccountId, &'v Rights)> {
    let (visitor, rights) = visitor?;
    visitor.user.as_ref().filter(|user| user.account.is_none())?;
    let account = path.strip_prefix("/accounts/")?.split('/').next()?.parse().ok()?;
    Some((account, rights))
}
