//! What is on offer, and what each customer has taken.
//!
//! The front desk. An order is checked in full when it is placed, so what can be refused is
//! refused at once; what was accepted is seen through, step by step and over any crash: billing
//! agrees that a cycle begins, then the configurator is told what the instance is. Both are told
//! by idempotent PUTs under ids that the order chose. What one of them refuses after all is taken
//! back, and the order leaves nothing behind: nothing exists that nobody pays for, and nobody pays
//! for what does not exist.

mod error;
mod hosts;
mod model;
mod offers;
mod orders;
mod quotas;
mod reconcile;
mod store;
mod subscriptions;

use api::provider::{
    ChangeSubscription, DropOffer, GetOffer, GetOrder, GetQuota, ListOffers, ListOrders,
    PlaceOrder, PromoteOffer, PutOffer, SetQuota, SuspendInstance,
};
use chassis::Component;

pub(crate) use error::Error;

/// What the provider needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The domain of the installation, `localhost`: it and the platform's hosts below it are
    /// nobody's instance.
    pub domain: String,
}

pub(crate) struct State {
    domain: String,
}

const MIGRATIONS: &[db::Migration] = &[
    db::Migration { name: "provider_0001", sql: include_str!("../migrations/0001_provider.sql") },
    db::Migration { name: "provider_0002", sql: include_str!("../migrations/0002_changes.sql") },
    db::Migration { name: "provider_0003", sql: include_str!("../migrations/0003_quotas.sql") },
    chassis::PROPOSALS,
];

/// The component.
pub fn component(config: Config) -> Component<impl Send + Sync + 'static> {
    Component::new("provider", MIGRATIONS, State { domain: config.domain })
        .writes::<PutOffer>(offers::put_offer)
        .writes::<PromoteOffer>(offers::promote_offer)
        .writes::<DropOffer>(offers::drop_offer)
        .reads::<ListOffers>(offers::list_offers)
        .reads::<GetOffer>(offers::get_offer)
        .acts::<PlaceOrder>(orders::place_order)
        .reads::<GetOrder>(orders::get_order)
        .reads::<ListOrders>(orders::list_orders)
        .acts::<ChangeSubscription>(orders::change_subscription)
        .acts::<SuspendInstance>(orders::suspend_instance)
        .reads::<GetQuota>(quotas::get_quota)
        .writes::<SetQuota>(quotas::set_quota)
        .opens(hosts::fill_in_labels)
        .keeps("orders", reconcile::step)
        .keeps("subscriptions", subscriptions::keeper())
}
