//! The instances of an account.

use api::configurator::{Instance, ListInstances};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::AccountId;

use crate::{
    answer::{Page, Shown},
    layout,
    paging::{Paging, ROWS},
    paths,
    progress::host_link,
    states,
    titles::Titles,
    visitor::Person,
    words,
};

pub(crate) async fn list(
    person: Person,
    Path(account): Path<AccountId>,
    Query(Paging { after }): Query<Paging>,
) -> Shown {
    let page = person.client.call(ListInstances { account, after, limit: ROWS }).await?;
    let services = page.items.iter().map(|instance| instance.service.clone()).collect();
    let titles = Titles::of(&person.client, services).await;
    let body = html! {
        header.title.row {
            h1 { "Instances" }
            @if !person.is_operator() { a.button href="/catalogue" { "Take another" } }
        }
        @if page.items.is_empty() {
            (layout::nothing("No instance yet. The catalogue shows what there is to take."))
        }
        div.offers { @for instance in &page.items { (card(instance, &titles)) } }
        (layout::more(&paths::of(account, "instances"), page.next.as_deref()))
    };
    Ok(Page::new("Instances", body))
}

fn card(instance: &Instance, titles: &Titles) -> Markup {
    let Instance { service, size, .. } = instance;
    let path = paths::instance(instance.account, instance.instance);
    html! {
        article.card.offer {
            div.heading { h2 { a href=(path) { (instance.host) } } (states::chip(instance)) }
            p.soft {
                (titles.service(service)) " · " (titles.size(service, size)) " · since "
                (words::moment(instance.created))
            }
            @if !instance.modules.is_empty() {
                p.tags { @for module in &instance.modules { span.tag { (titles.module(service, module)) } } }
            }
            div.end { span { (host_link(instance)) } a.button.quiet href=(path) { "Manage" } }
        }
    }
}
