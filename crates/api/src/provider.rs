//! provider: what is on offer, and what each customer has taken.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Digest, Host, InstanceId, Name, OrderId, Timestamp};

use crate::{Empty, manifest::Manifest};

operations! { "provider":
    /// Proposes what is on offer of a service with a release.
    PutOffer PUT "/v1/offers/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Puts on offer what a release proposed.
    PromoteOffer PUT "/v1/offers/{service}" on service by [releases] -> Empty;
    /// Withdraws what a release proposed that was never promoted.
    DropOffer DELETE "/v1/offers/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Lists what is on offer.
    ListOffers GET "/v1/offers" on platform by [public] lists Offer;
    /// Shows what is on offer of one service.
    GetOffer GET "/v1/offers/{service}" on service by [public] -> Offer;
    /// Takes an instance of a service.
    PlaceOrder POST "/v1/accounts/{account}/orders" on account by [customer] -> Order;
    /// Shows how far an order is.
    GetOrder GET "/v1/accounts/{account}/orders/{order}" on account by [customer, operator] -> Order;
    /// Lists an account's orders, newest first.
    ListOrders GET "/v1/accounts/{account}/orders" on account by [customer, operator] lists Order;
    /// Takes other modules or another size from now on.
    ChangeSubscription POST "/v1/accounts/{account}/instances/{instance}/subscription" on instance by [customer] -> Order;
    /// Shows how much an account may have.
    GetQuota GET "/v1/accounts/{account}/quota" on account by [customer, operator] -> Quota;
    /// Says how much an account may have.
    SetQuota PUT "/v1/accounts/{account}/quota" on account by [operator] -> Empty;
    /// Suspends an instance, or lets it go on.
    SuspendInstance PUT "/v1/accounts/{account}/instances/{instance}/suspension" on instance by [operator] -> Empty;
}

/// Proposes what is on offer of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutOffer {
    /// The service.
    pub service: Name,
    /// The release that describes it.
    pub release: Digest,
    /// What it is.
    pub manifest: Manifest,
    /// The plans of its price book, in alphabetical order.
    pub plans: Vec<String>,
}

/// Makes what a release proposed hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromoteOffer {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// A service's promotions count up; one that comes after a later one changes nothing.
    pub turn: u64,
}

/// Withdraws what a release proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropOffer {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
}

/// A service that can be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// Its name.
    pub service: Name,
    /// The release that describes it.
    pub release: Digest,
    /// What it is.
    pub manifest: Manifest,
    /// The plans there are.
    pub plans: Vec<String>,
}

/// Shows what is on offer of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetOffer {
    /// Which one.
    pub service: Name,
}

/// Takes an instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceOrder {
    /// For which account.
    pub account: AccountId,
    /// Of which service.
    pub service: Name,
    /// On which plan; the only one if there is just one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// With which modules.
    #[serde(default)]
    pub modules: BTreeSet<String>,
    /// How big.
    pub size: String,
    /// At which host name.
    pub host: Host,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderPhase {
    /// Billing is to agree to it.
    Placed,
    /// Billing has agreed; the configurator is to be told what the instance is.
    Agreed,
    /// Everybody has been told.
    Complete,
    /// It was refused; what was agreed to for it is taken back.
    Undoing,
    /// It was refused, the order says why, and all is as it was before.
    Failed,
}

/// What a customer has taken: the latest wish for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Its id.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// The instance that it makes or changes.
    pub instance: InstanceId,
    /// Of which service.
    pub service: Name,
    /// On which plan.
    pub plan: String,
    /// With which modules.
    pub modules: BTreeSet<String>,
    /// How big.
    pub size: String,
    /// At which host name.
    pub host: Host,
    /// How far it is.
    pub phase: OrderPhase,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it was placed; from then on it is billed.
    pub created: Timestamp,
}

/// Shows how far an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetOrder {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub order: OrderId,
}

/// Takes other modules or another size. Changes of one instance are made in the order in which they
/// come; what a change leaves out stays as the one before it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeSubscription {
    /// Whose instance.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
    /// All modules that it shall have; as they are if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<BTreeSet<String>>,
    /// How big it shall be; as it is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The latest order for the instance that the caller knows of: the change is refused if there
    /// has been another one since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds_on: Option<OrderId>,
}

/// Shows how much an account may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetQuota {
    /// Whose.
    pub account: AccountId,
}

/// Says how much an account may have; what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetQuota {
    /// Whose.
    pub account: AccountId,
    /// How many instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// How many orders and changes within any hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders_an_hour: Option<u32>,
}

/// How much an account may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// How many instances.
    pub instances: u32,
    /// How many orders and changes within any hour.
    pub orders_an_hour: u32,
}

/// Suspends an instance, or lets it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuspendInstance {
    /// Whose instance.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
    /// Why, as its visitors will read it; absent lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
