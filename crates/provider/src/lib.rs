//! What is on offer, and what each customer has taken.
//!
//! The front desk. An order is checked in full when it is placed, so what can be refused is
//! refused at once; what was accepted is seen through, step by step and over any crash: the
//! configurator is told what the instance is, then billing is told that a cycle begins. Both are
//! told by idempotent PUTs under ids that the order chose.

mod error;
mod offers;
mod orders;
mod reconcile;
mod store;
mod subscriptions;

use api::provider::{
    ChangeSubscription, GetOffer, GetOrder, ListOffers, ListOrders, PlaceOrder, PutOffer,
    SuspendInstance,
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

/// The component.
pub fn component(config: Config) -> Component<impl Send + Sync + 'static> {
    const MIGRATIONS: &[db::Migration] = &[db::Migration {
        name: "provider_0001",
        sql: include_str!("../migrations/0001_provider.sql"),
    }];
    Component::new("provider", MIGRATIONS, State { domain: config.domain })
        .writes::<PutOffer>(offers::put_offer)
        .reads::<ListOffers>(offers::list_offers)
        .reads::<GetOffer>(offers::get_offer)
        .writes::<PlaceOrder>(orders::place_order)
        .reads::<GetOrder>(orders::get_order)
        .reads::<ListOrders>(orders::list_orders)
        .writes::<ChangeSubscription>(orders::change_subscription)
        .acts::<SuspendInstance>(orders::suspend_instance)
        .keeps("orders", reconcile::step)
        .keeps("subscriptions", subscriptions::keeper())
}
