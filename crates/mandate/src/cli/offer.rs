//! What is on offer, with its prices.

use api::{
    billing::GetPriceBook,
    prices::{PriceBook, Rate, Tier},
    provider::{self, GetOffer, ListOffers},
};
use clap::{Args, Subcommand};
use types::{Amount, Currency, Name};

use super::{
    Outcome,
    context::Context,
    output::{Limit, Table, moment, names, number},
};

/// What is on offer, with its prices
#[derive(Debug, Args)]
pub(crate) struct Offer {
    #[command(subcommand)]
    verb: OfferVerb,
}

#[derive(Debug, Subcommand)]
enum OfferVerb {
    /// List the services that can be taken
    List(Limit),
    /// Show a service: its sizes, modules, set-up fields and prices
    Show {
        /// Which service
        service: Name,
    },
}

impl Offer {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            OfferVerb::List(Limit { limit }) => {
                let offers = cx.list(limit, |after, limit| ListOffers { after, limit }).await?;
                let empty = "Nothing is on offer yet; `mandate service publish DIR` changes that.";
                cx.show_list(&offers, empty, |offers| {
                    let headings = ["SERVICE", "TITLE", "SIZES", "MODULES", "PLANS"];
                    Table::of(&headings, offers, |table, offer| {
                        let manifest = &offer.manifest;
                        let (sizes, modules) = (manifest.sizes.keys(), manifest.modules.keys());
                        let (sizes, modules) = (names(sizes), names(modules));
                        let title = &manifest.service.title;
                        table.row([&offer.service, title, &sizes, &modules, &names(&offer.plans)]);
                    })
                })
            }
            OfferVerb::Show { service } => {
                let offer = cx.ask(GetOffer { service: service.clone() }).await?;
                if cx.json() {
                    return cx.show(&offer, |_| String::new());
                }
                let book = cx.ask(GetPriceBook { service }).await?;
                cx.show(&offer, |offer| described(offer, &book))
            }
        }
    }
}

fn described(offer: &provider::Offer, book: &PriceBook) -> String {
    let service = &offer.manifest.service;
    let modules =
        Table::of(&["MODULE", "NEEDS", "WHAT IT IS"], &offer.manifest.modules, |table, module| {
            let (name, module) = module;
            let summary = if module.summary.is_empty() { &module.title } else { &module.summary };
            table.row([name, &names(&module.requires), summary]);
        });
    let prices = prices(book);
    format!(
        "{}: {}\n\n{modules}\n\n{prices}\n\n`mandate order place {} --size S --host H` takes one.",
        service.title, service.summary, service.name
    )
}

fn prices(book: &PriceBook) -> String {
    let headings = ["PLAN", "WHAT", ">PRICE", "", "INCLUDED"];
    let mut table = Table::new(&headings);
    let currency = book.currency;
    for (name, plan) in &book.plans {
        let mut row = |what: &str, price, each: &str, included: &str| {
            let price = priced(price, currency);
            table.row([name, &what, &price, &format!("{currency} per {each}"), &included]);
        };
        row("the plan itself", plan.monthly, "month", "");
        for (size, price) in &plan.sizes {
            let least = format!("billed for at least {} s", price.minimum_seconds);
            row(&format!("size {size}"), price.per_hour, "hour", &least);
        }
        for (module, price) in &plan.modules {
            row(&format!("module {module}"), price.monthly, "month", "");
        }
        for (meter, rate) in &plan.meters {
            for (price, each, included) in steps(rate) {
                row(meter, price, &each, &included);
            }
        }
        if let Some(jobs) = &plan.jobs {
            row("jobs", jobs.per_second, "second", "");
        }
    }
    format!("Prices since {}\n{}", moment(book.effective), table.text())
}

/// A price with at least the decimals of its currency.
fn priced(price: Amount, currency: Currency) -> String {
    let shown = number(price);
    let places = usize::from(currency.exponent());
    match shown.split_once('.') {
        Some((whole, decimals)) => format!("{whole}.{decimals:0<places$}"),
        None if places == 0 || shown.contains('/') => shown,
        None => format!("{shown}.{:0<places$}", ""),
    }
}

/// What a rate says, a line for each price: the price, for what, and what is free.
fn steps(rate: &Rate) -> Vec<(Amount, String, String)> {
    let free = |included: u64| format!("{included} free");
    match rate {
        Rate::PerUnit { included, unit } => vec![(*unit, "unit".into(), free(*included))],
        Rate::Package { included, size, price } => {
            vec![(*price, format!("{size} units"), free(*included))]
        }
        Rate::Graduated { included, tiers } => {
            let tier = |tier: &Tier| match tier.up_to {
                Some(up_to) => {
                    (tier.unit, "unit".into(), format!("{}, up to {up_to}", free(*included)))
                }
                None => (tier.unit, "unit".into(), "all further ones".into()),
            };
            tiers.iter().map(tier).collect()
        }
    }
}
