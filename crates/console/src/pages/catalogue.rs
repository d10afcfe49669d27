//! What is on offer, and what it costs at least.

use api::provider::ListOffers;
use axum::extract::Query;
use futures_util::future::join_all;
use maud::{Markup, html};

use crate::{
    answer::{Page, Shown},
    layout,
    paging::Paging,
    prices::Prices,
    titles::{Priced, priced},
    visitor::Visitor,
};

pub(crate) async fn list(visitor: Visitor, Query(paging): Query<Paging>) -> Shown {
    let operation = ListOffers { after: paging.after, limit: Some(20) };
    let page = visitor.client.call(operation).await?;
    let offers = join_all(page.items.into_iter().map(|offer| priced(&visitor.client, offer))).await;
    let body = html! {
        header.title {
            h1 { "Catalogue" }
            p.lead { "Take a service of your own: with its own database, address and bill." }
        }
        @if offers.is_empty() { (layout::nothing("Nothing is on offer yet. Look in again soon.")) }
        div.offers { @for offer in &offers { (card(offer)) } }
        (layout::more("/catalogue", page.next.as_deref()))
    };
    Ok(Page::new("Catalogue", body))
}

fn card((offer, book): &Priced) -> Markup {
    let service = &offer.manifest.service;
    let cheapest = book.as_ref().and_then(|book| {
        let plan = book.plans.values().min_by_key(|plan| plan.monthly)?;
        Some(Prices { plan, currency: book.currency }.base())
    });
    html! {
        article.card.offer {
            h2 { (service.title) }
            p { (service.summary) }
            @if !offer.manifest.modules.is_empty() {
                p.tags {
                    @for module in offer.manifest.modules.values() { span.tag { (module.title) } }
                }
            }
            div.end {
                @match cheapest {
                    Some(price) => p {
                        span.soft { "from " } strong { (price) }
                        br; span.soft.small { "and what you use" }
                    },
                    None => p.soft { "Prices cannot be shown now" },
                }
                a.button href={ "/catalogue/" (offer.service) } { "Choose " (service.title) }
            }
        }
    }
}
