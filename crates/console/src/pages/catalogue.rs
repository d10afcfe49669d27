//! What is on offer, what it costs, and ordering it.

use api::{
    Client, Problem,
    billing::GetPriceBook,
    prices::PriceBook,
    provider::{GetOffer, ListOffers, Offer, Order, PlaceOrder},
};
use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect},
};
use futures_util::future::join_all;
use maud::{Markup, html};
use serde::Deserialize;
use types::{Host, Name};

use crate::{
    Config, Console, choices,
    choices::Choices,
    failure::{self, Answer, Shown},
    form::{Draft, Fields, form},
    layout::{self, Page},
    pages::Paging,
    paths, prices,
    prices::Prices,
    session::{Person, Visitor},
};

/// An offer with its prices, if billing can tell them.
type Priced = (Offer, Option<PriceBook>);

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

async fn priced(client: &Client, offer: Offer) -> Priced {
    let book = client.call(GetPriceBook { service: offer.service.clone() }).await;
    (offer, book.ok())
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
                p.tags aria-label="Modules" {
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

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    plan: String,
}

pub(crate) async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(service): Path<Name>,
    Query(chosen): Query<Chosen>,
) -> Shown {
    let offer = visitor.client.call(GetOffer { service }).await?;
    let priced = priced(&visitor.client, offer).await;
    Ok(order_page(&console, &visitor, &priced, &chosen.plan, &Draft::default()))
}

pub(crate) async fn order(
    State(console): State<Console>,
    visitor: Visitor,
    person: Person,
    Path(service): Path<Name>,
    fields: Fields,
) -> Answer {
    match place(&console.domain, &person, service.clone(), &fields).await {
        Ok(order) => Ok(Redirect::to(&paths::order(order.account, order.order)).into_response()),
        Err(problem) => {
            let offer = person.client.call(GetOffer { service }).await?;
            let priced = priced(&person.client, offer).await;
            let plan = fields.get("plan").to_owned();
            let draft = Draft::refused(fields, problem);
            Ok(order_page(&console, &visitor, &priced, &plan, &draft).into_response())
        }
    }
}

async fn place(
    domain: &str,
    person: &Person,
    service: Name,
    fields: &Fields,
) -> Result<Order, Problem> {
    let once = fields.once()?;
    let host = host(fields.get("host"), domain)?;
    let plan = Some(fields.get("plan")).filter(|plan| !plan.is_empty()).map(str::to_owned);
    let modules = choices::modules(fields);
    let size = fields.get("size").to_owned();
    let operation = PlaceOrder { account: person.account()?, service, plan, modules, size, host };
    person.client.call_once(operation, once).await
}

/// A label is below the installation's domain; what has a dot is a host name of the customer's own.
fn host(text: &str, domain: &str) -> Result<Host, Problem> {
    let text = text.to_lowercase();
    let full =
        if text.contains('.') || text.is_empty() { text } else { format!("{text}.{domain}") };
    full.parse().map_err(|cause: types::NameError| Problem::invalid("host", cause.to_string()))
}

fn order_page(
    console: &Config,
    visitor: &Visitor,
    (offer, book): &Priced,
    plan: &str,
    draft: &Draft,
) -> Page {
    let plan = offer.plans.iter().find(|name| *name == plan).or(offer.plans.first());
    let plan = plan.map_or("", String::as_str);
    let prices = book.as_ref().and_then(|book| Prices::of(book, plan));
    let service = &offer.manifest.service;
    let form = order_form(console, visitor, offer, plan, prices, draft);
    let body = html! {
        (layout::back("/catalogue", "Catalogue"))
        header.title { h1 { (service.title) } p.lead { (service.summary) } }
        @if let Some(problem) = &draft.problem { (failure::notice(problem)) }
        @if book.is_none() {
            p.notice {
                "Prices cannot be shown now; they are those of the price book all the same."
            }
        }
        @if offer.plans.len() > 1 { (plan_tabs(offer, book.as_ref(), plan)) }
        div.beside {
            div.card { (form) }
            @if let Some(prices) = prices { (price_list(prices, offer)) }
        }
    };
    let page = Page::new(service.title.clone(), body);
    match &draft.problem {
        Some(problem) => page.with_status(failure::status_of(problem)),
        None => page,
    }
}

fn plan_tabs(offer: &Offer, book: Option<&PriceBook>, chosen: &str) -> Markup {
    html! {
        nav.plans aria-label="Plans" {
            @for name in &offer.plans {
                @let prices = book.and_then(|book| Prices::of(book, name));
                a href=(paths::with_query("", &[("plan", name)]))
                    aria-current=[(name == chosen).then_some("true")] {
                    strong { (prices.map_or(name.as_str(), |prices| prices.plan.title.as_str())) }
                    @if let Some(prices) = prices { span { (prices.base()) } }
                }
            }
        }
    }
}

fn order_form(
    console: &Config,
    visitor: &Visitor,
    offer: &Offer,
    plan: &str,
    prices: Option<Prices<'_>>,
    draft: &Draft,
) -> Markup {
    let action = format!("/catalogue/{}", offer.service);
    let modules = choices::modules(&draft.fields);
    let size = draft.fields.get("size");
    let choices = Choices { manifest: &offer.manifest, prices, size, modules: &modules };
    let content = html! {
        (draft.once())
        input type="hidden" name="plan" value=(plan);
        (choices.fieldsets())
        label.field { span { "Address" }
            span.host {
                input name="host" value=(draft.fields.get("host")) required maxlength="253"
                    autocomplete="off" autocapitalize="none" spellcheck="false"
                    placeholder={ "my-" (offer.service) };
                span { "." (console.domain) }
            }
            small {
                "It will answer at " (console.site.scheme()) "://my-" (offer.service) "."
                (console.domain) (console.site.port_suffix())
                ". Or write a whole host name of your own, such as shop.example.com."
            }
        }
        @match visitor.user.as_ref().map(|user| user.account.is_some()) {
            Some(true) => button { "Order " (offer.manifest.service.title) },
            Some(false) => p.soft { "You run the platform; orders are for customers." },
            None => p {
                a.button href=(paths::with_query("/register", &[("next", &action)])) {
                    "Open an account to order"
                }
                " or " a href=(paths::sign_in(&action)) { "sign in" }
            },
        }
    };
    form(&visitor.form_token, &action, content)
}

fn price_list(prices: Prices<'_>, offer: &Offer) -> Markup {
    html! {
        aside.card {
            h2 { "What it costs" }
            dl.prices {
                dt { "The plan " (prices.plan.title) } dd { (prices.base()) }
                @for (title, price) in prices::usage(prices, &offer.manifest) {
                    dt { (title) } dd { (price) }
                }
            }
            p.soft.small {
                "Monthly prices count for the part of the month in which you have it; sizes by the "
                "second. Each line of the bill shows where it comes from."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_below_the_domain_and_a_host_name_stands_alone() {
        assert_eq!(host("Bakery", "localhost").unwrap().as_str(), "bakery.localhost");
        assert_eq!(host("shop.example.com", "localhost").unwrap().as_str(), "shop.example.com");
        for bad in ["", "a b", "<script>", "a..b", "-", &"a".repeat(64)] {
            assert!(host(bad, "localhost").is_err(), "{bad}");
        }
    }
}
