//! An offer: choosing of it what one wants, what that comes to, and ordering it.
//!
//! All that is chosen stands in the page's address, so that whoever has to sign in or to register
//! first finds it again. Nothing of that needs the page's script, which only shows the prices of
//! another choice at once.

use api::{
    Problem,
    provider::{GetOffer, Offer, Order, PlaceOrder},
};
use axum::{
    extract::{Path, State},
    http::Uri,
    response::{IntoResponse, Redirect},
};
use maud::{Markup, html};
use types::{Host, Name};

use crate::{
    Config, Console,
    answer::{Answer, Failure, Page, Shown},
    choices,
    choices::Choices,
    failure,
    form::{Draft, Fields, KEPT_FIELD, form},
    layout, paths, prices,
    prices::Prices,
    titles::{Priced, priced},
    visitor::{Person, Visitor},
};

/// What is chosen: the fields that the page's address can carry.
const CHOICES: &str = "plan size modules host";
/// The field that says where else than to an order the form leads.
const THEN: &str = "then";

pub(crate) async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(service): Path<Name>,
    address: Uri,
) -> Shown {
    let offer = visitor.client.call(GetOffer { service }).await?;
    let priced = priced(&visitor.client, offer).await;
    let fields = Fields::of_query(address.query().unwrap_or_default());
    let draft = Draft { fields, problem: None };
    Ok(Whole { console: &console, visitor: &visitor, priced: &priced, draft: &draft }.page())
}

pub(crate) async fn order(
    State(console): State<Console>,
    visitor: Visitor,
    Path(service): Path<Name>,
    fields: Fields,
) -> Answer {
    let path = format!("/catalogue/{service}");
    let chosen = fields.address(&path).unwrap_or(path);
    match fields.get(THEN) {
        "register" => return Ok(leads_to("/register", &chosen)),
        "sign-in" => return Ok(leads_to("/sign-in", &chosen)),
        "prices" => return Ok(Redirect::to(&chosen).into_response()),
        _ => {}
    }
    let Some(person) = visitor.person() else { return Ok(leads_to("/sign-in", &chosen)) };
    match place(&console.domain, &person, service.clone(), &fields).await {
        Ok(order) => Ok(Redirect::to(&paths::order(order.account, order.order)).into_response()),
        Err(problem) => {
            let offer = person.client.call(GetOffer { service }).await.map_err(Failure::from)?;
            let priced = priced(&person.client, offer).await;
            let draft = Draft::refused(fields, problem);
            let whole =
                Whole { console: &console, visitor: &visitor, priced: &priced, draft: &draft };
            Ok(whole.page().into_response())
        }
    }
}

fn leads_to(path: &str, next: &str) -> axum::response::Response {
    Redirect::to(&paths::with_query(path, &[("next", next)])).into_response()
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

/// All that the page is made of.
struct Whole<'a> {
    console: &'a Config,
    visitor: &'a Visitor,
    priced: &'a Priced,
    draft: &'a Draft,
}

impl Whole<'_> {
    fn page(&self) -> Page {
        let (offer, book) = self.priced;
        let modules = choices::modules(&self.draft.fields);
        let plan = self.plan();
        let prices = book.as_ref().and_then(|book| Prices::of(book, plan));
        let choices = Choices {
            manifest: &offer.manifest,
            prices,
            size: self.draft.fields.get("size"),
            modules: &modules,
        };
        let service = &offer.manifest.service;
        let body = html! {
            (layout::back("/catalogue", "Catalogue"))
            header.title { h1 { (service.title) } p.lead { (service.summary) } }
            @if let Some(problem) = &self.draft.problem { (failure::notice(problem)) }
            @if book.is_none() {
                p.notice {
                    "Prices cannot be shown now; they are those of the price book all the same."
                }
            }
            div.beside {
                div.card { (self.form(&choices)) }
                @if let Some(prices) = prices { (price_list(prices, offer)) }
            }
        };
        Page::new(service.title.clone(), body).refused(self.draft.problem.as_ref())
    }

    /// The plan that is chosen; the first, while none is that there is.
    fn plan(&self) -> &str {
        let (plans, wanted) = (&self.priced.0.plans, self.draft.fields.get("plan"));
        let plan = plans.iter().find(|name| *name == wanted).or(plans.first());
        plan.map_or("", String::as_str)
    }

    fn form(&self, choices: &Choices<'_>) -> Markup {
        let action = format!("/catalogue/{}", self.priced.0.service);
        let content = html! {
            (self.draft.once())
            input type="hidden" name=(KEPT_FIELD) value=(CHOICES);
            (self.plans())
            (choices.fieldsets())
            (self.address())
            (choices.total())
            (self.buttons())
        };
        html! { div data-choices=(CHOICES) { (form(&self.visitor.form_token, &action, content)) } }
    }

    fn plans(&self) -> Markup {
        let (offer, book) = self.priced;
        let prices = |name: &str| Prices::of(book.as_ref()?, name);
        if offer.plans.len() < 2 {
            return html! { input type="hidden" name="plan" value=(self.plan()); };
        }
        html! {
            fieldset {
                legend { "Plan" }
                div.options { @for name in &offer.plans {
                    label.option {
                        input type="radio" name="plan" value=(name) checked[name == self.plan()];
                        @let prices = prices(name);
                        span.what {
                            strong { (prices.map_or(name.as_str(), |it| it.plan.title.as_str())) }
                        }
                        @if let Some(prices) = prices { span.price { (prices.base()) } }
                    }
                } }
            }
        }
    }

    fn address(&self) -> Markup {
        let Config { domain, site, .. } = self.console;
        let service = &self.priced.0.service;
        html! {
            label.field { span { "Address" }
                span.host {
                    input name="host" value=(self.draft.fields.get("host")) required
                        maxlength="253" autocomplete="off" autocapitalize="none"
                        spellcheck="false" placeholder={ "my-" (service) };
                    span { "." (domain) }
                }
                small {
                    "It will answer at " (site.scheme()) "://my-" (service) "." (domain)
                    (site.port_suffix())
                    ". Or write a whole host name of your own, such as shop.example.com."
                }
            }
        }
    }

    /// What is pressed without the script to see other prices comes last: Return in a field presses
    /// the first one.
    fn buttons(&self) -> Markup {
        let title = &self.priced.0.manifest.service.title;
        html! {
            @match self.visitor.user.as_ref().map(|user| user.account.is_some()) {
                Some(true) => button { "Order " (title) },
                Some(false) => p.soft { "You run the platform; orders are for customers." },
                None => {
                    p {
                        button name=(THEN) value="register" formnovalidate {
                            "Open an account to order"
                        }
                        " or "
                        button.plain name=(THEN) value="sign-in" formnovalidate { "sign in" }
                    }
                    p.soft.small { "What you have chosen is kept." }
                },
            }
            noscript {
                p { button.quiet name=(THEN) value="prices" formnovalidate { "Show the prices" } }
            }
        }
    }
}

fn price_list(prices: Prices<'_>, offer: &Offer) -> Markup {
    html! {
        aside.card {
            h2 { "What it costs" }
            dl.prices #prices data-price="" {
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
