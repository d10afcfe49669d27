//! What every page has around it.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use types::AccountId;

use crate::{answer::Page, assets, form::form, paths, visitor::Visitor};

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

/// The whole document.
pub(crate) fn document(visitor: Option<&Visitor>, path: &str, page: &Page) -> Response {
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

fn banner(visitor: Option<&Visitor>, path: &str) -> Markup {
    let user = visitor.and_then(|visitor| visitor.user.as_ref());
    html! {
        header.banner {
            div.inner {
                a.brand href="/" {
                    img src=(*assets::MARK_PATH) alt="" width="22" height="22"; "Mandate"
                }
                @if let Some(visitor) = visitor {
                    nav aria-label="Pages" { (links(&places(visitor), path)) }
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
        @if let Some(account) = visited(visitor, path) {
            section.visited aria-label="A customer’s account" {
                div.inner {
                    span { "A customer’s account" }
                    nav aria-label="The account's pages" { (links(&account_places(account), path)) }
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

/// Only what the person is: a customer, somebody who runs the platform, or a visitor.
fn places(visitor: &Visitor) -> Vec<Place> {
    let catalogue = || ("/catalogue".to_owned(), "Catalogue");
    match visitor.user.as_ref().map(|user| user.account) {
        None => vec![catalogue()],
        Some(Some(account)) => {
            let mut places = account_places(account);
            places.insert(1, catalogue());
            places
        }
        Some(None) => [
            ("services", "Services"),
            ("nodes", "Nodes"),
            ("queues", "Queues"),
            ("work", "Jobs"),
            ("accounts", "Accounts"),
            ("grants", "Operators"),
        ]
        .map(|(page, title)| (format!("/operate/{page}"), title))
        .to_vec(),
    }
}

fn account_places(account: AccountId) -> Vec<Place> {
    let pages = [
        ("instances", "Instances"),
        ("orders", "Orders"),
        ("bill", "Bill"),
        ("users", "Users"),
        ("audit", "Audit"),
    ];
    pages.map(|(page, title)| (paths::of(account, page), title)).to_vec()
}

/// The account that an operator is looking at.
fn visited(visitor: Option<&Visitor>, path: &str) -> Option<AccountId> {
    visitor?.user.as_ref().filter(|user| user.account.is_none())?;
    path.strip_prefix("/accounts/")?.split('/').next()?.parse().ok()
}
