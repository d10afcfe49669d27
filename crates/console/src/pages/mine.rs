//! What somebody may do: where those begin who may not see the whole account.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    access::{ListOwnGrants, ListPermissions, OwnGrant},
    configurator::{GetInstance, ListInstances},
};
use axum::extract::{Query, State};
use futures_util::future::join_all;
use maud::{Markup, html};
use types::{Grantable, Host, Permission, Resource};

use crate::{
    Config, Console,
    answer::{Page, Shown},
    layout,
    paging::{ALL, Paging, ROWS},
    paths,
    visitor::Person,
    words,
};

const PATH: &str = "/mine";

/// What permissions allow, by their names.
type Titles = BTreeMap<Permission, String>;

pub(crate) async fn list(
    State(console): State<Console>,
    person: Person,
    Query(Paging { after }): Query<Paging>,
) -> Shown {
    let (page, permissions) = tokio::join!(
        person.client.call(ListOwnGrants { after, limit: ROWS }),
        person.client.call(ListPermissions { service: None, after: None, limit: ALL }),
    );
    let page = page?;
    let permissions = permissions.map(|page| page.items).unwrap_or_default();
    let titles = permissions.into_iter().map(|entry| (entry.permission, entry.title)).collect();
    let seen = seen(&person, &page.items).await;
    let mut places: BTreeMap<&Resource, Vec<&OwnGrant>> = BTreeMap::new();
    for own in &page.items {
        places.entry(&own.grant.on).or_default().push(own);
    }
    let body = html! {
        header.title {
            h1 { "What you may do" }
            p.lead { "You are signed in as " (person.user.email) "." }
        }
        @if places.is_empty() {
            (layout::nothing("Nothing yet. Ask an owner of your account to grant you something."))
        }
        @for (on, grants) in &places { (place(&console, on, grants, &titles, &seen)) }
        (layout::more(PATH, page.next.as_deref()))
    };
    Ok(Page::new("What you may do", body))
}

/// Of what there are pages that the person may see.
async fn seen(person: &Person, grants: &[OwnGrant]) -> BTreeSet<Resource> {
    let places: BTreeSet<&Resource> = grants.iter().map(|own| &own.grant.on).collect();
    let looks = places.into_iter().map(|on| async move {
        let seen = match *on {
            Resource::Instance(account, instance) => {
                person.client.call(GetInstance { account, instance }).await.is_ok()
            }
            Resource::Account(account) => {
                let question = ListInstances { account, after: None, limit: Some(1) };
                person.client.call(question).await.is_ok()
            }
            _ => false,
        };
        seen.then(|| on.clone())
    });
    join_all(looks).await.into_iter().flatten().collect()
}

fn place(
    console: &Config,
    on: &Resource,
    grants: &[&OwnGrant],
    titles: &Titles,
    seen: &BTreeSet<Resource>,
) -> Markup {
    let host = grants.iter().find_map(|own| own.host.as_ref());
    html! {
        section.card {
            h2 { (name(on, host)) }
            ul.rows { @for own in grants { li { div { (may(&own.grant.given, titles)) } } } }
            p { (ways(console, on, host, seen.contains(on))) }
        }
    }
}

fn name(on: &Resource, host: Option<&Host>) -> Markup {
    html! {
        @match on {
            Resource::Platform => "The platform",
            Resource::Account(_) => "Your account",
            Resource::Instance(_, id) => {
                @match host { Some(host) => (host), None => code.small { (id) } }
            }
            Resource::Service(service) => { "The service " (service) }
            Resource::Node(id) => { "The node " code.small { (id) } }
        }
    }
}

/// Where it can be done.
fn ways(console: &Config, on: &Resource, host: Option<&Host>, is_seen: bool) -> Markup {
    html! {
        @if let Some(host) = host {
            a.button href={ (console.site.origin(host)) "/" } target="_blank"
                rel="noopener noreferrer" { "Visit it" } " "
        }
        @match on {
            Resource::Instance(account, id) if is_seen => {
                a.button.quiet href=(paths::instance(*account, *id)) { "Manage it" }
            }
            Resource::Account(account) if is_seen => {
                a.button.quiet href=(paths::of(*account, "instances")) { "See its instances" }
            }
            _ => {}
        }
    }
}

fn may(given: &Grantable, titles: &Titles) -> Markup {
    html! {
        @match given {
            Grantable::Owner => "You own it: you may do everything with it.",
            Grantable::Operator => "You run it.",
            Grantable::Service(name) => { "Everything in " (name) }
            Grantable::Permission(permission) => {
                @if let Some(title) = titles.get(permission) { (words::sentence(title)) " " }
                code.soft.small { (permission) }
            }
        }
    }
}
