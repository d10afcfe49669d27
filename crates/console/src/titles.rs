//! What was taken, as the catalogue calls it: lists name plans, sizes and modules by their titles.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    Client,
    billing::GetPriceBook,
    prices::PriceBook,
    provider::{GetOffer, Offer, Order},
};
use futures_util::future::join_all;
use types::Name;

/// An offer with its prices, if billing can tell them.
pub(crate) type Priced = (Offer, Option<PriceBook>);

pub(crate) async fn priced(client: &Client, offer: Offer) -> Priced {
    let book = client.call(GetPriceBook { service: offer.service.clone() }).await;
    (offer, book.ok())
}

/// The titles of services and of what can be taken of them. What is not known any more goes by its
/// name.
pub(crate) struct Titles(BTreeMap<Name, Priced>);

impl Titles {
    /// Those of so many services as a page names.
    pub(crate) async fn of(client: &Client, services: BTreeSet<Name>) -> Self {
        let asked = services.into_iter().map(|service| async move {
            let offer = client.call(GetOffer { service }).await.ok()?;
            Some(priced(client, offer).await)
        });
        let known = join_all(asked).await.into_iter().flatten();
        Self(known.map(|(offer, book)| (offer.service.clone(), (offer, book))).collect())
    }

    pub(crate) fn service<'t>(&'t self, service: &'t Name) -> &'t str {
        self.offer(service).map_or(service.as_str(), |it| it.manifest.service.title.as_str())
    }

    pub(crate) fn size<'t>(&'t self, service: &Name, name: &'t str) -> &'t str {
        let size = self.offer(service).and_then(|offer| offer.manifest.sizes.get(name));
        size.map_or(name, |size| size.title.as_str())
    }

    pub(crate) fn module<'t>(&'t self, service: &Name, name: &'t str) -> &'t str {
        let module = self.offer(service).and_then(|offer| offer.manifest.modules.get(name));
        module.map_or(name, |module| module.title.as_str())
    }

    fn plan<'t>(&'t self, service: &Name, name: &'t str) -> &'t str {
        let book = self.0.get(service).and_then(|(_, book)| book.as_ref());
        book.and_then(|book| book.plans.get(name)).map_or(name, |plan| plan.title.as_str())
    }

    /// `Basic · Small · Polls, Search`.
    pub(crate) fn taken(&self, order: &Order) -> String {
        let service = &order.service;
        let modules: Vec<_> = order.modules.iter().map(|it| self.module(service, it)).collect();
        let (plan, size) = (self.plan(service, &order.plan), self.size(service, &order.size));
        let parts = [plan.to_owned(), size.to_owned(), modules.join(", ")];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }

    fn offer(&self, service: &Name) -> Option<&Offer> {
        self.0.get(service).map(|(offer, _)| offer)
    }
}
