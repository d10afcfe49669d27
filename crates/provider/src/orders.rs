//! Orders: what a customer wants, checked in full before it is accepted.

use std::{collections::BTreeSet, time::Duration};

use api::{
    Empty,
    configurator::SetSuspension,
    provider::{
        ChangeSubscription, GetOrder, ListOrders, Offer, Order, OrderPhase, PlaceOrder,
        SuspendInstance,
    },
};
use chassis::Call;
use types::{InstanceId, OrderId, Page};

use crate::{Error, State, changes::Changes, hosts, offers, quotas, store};

pub(crate) async fn place_order(cx: Call<State>, op: PlaceOrder) -> Result<Order, Error> {
    let offer = offers::offer_now(&cx, &op.service).await?;
    let plan = chosen_plan(&offer, op.plan)?;
    check(&offer, &op.modules, &op.size)?;
    hosts::check_host(&op.host, &cx.state().domain)?;
    let mut write = cx.begin().await?;
    store::take_turn(write.tx()).await?;
    let now = write.now();
    quotas::check_orders(write.tx(), op.account, now).await?;
    quotas::check_instances(write.tx(), op.account).await?;
    let instance = InstanceId::new(now);
    let labels = hosts::labels(&op.host);
    if !store::take_host(write.tx(), &op.host, &labels, op.account, instance).await? {
        return Err(Error::HostTaken(op.host));
    }
    hosts::check_neighbours(write.tx(), &op.host, op.account).await?;
    let order = Order {
        order: OrderId::new(now),
        account: op.account,
        instance,
        service: op.service,
        plan,
        modules: op.modules,
        size: op.size,
        host: op.host,
        phase: OrderPhase::Placed,
        problem: None,
        created: now,
    };
    store::insert_order(write.tx(), &order, None).await?;
    Ok(write.finish(order).await?)
}

pub(crate) async fn change_subscription(
    cx: Call<State>,
    op: ChangeSubscription,
) -> Result<Order, Error> {
    let ChangeSubscription { account, instance, modules, size, builds_on } = op;
    if modules.is_none() && size.is_none() {
        return Err(Error::Nothing);
    }
    let known = store::latest_order(cx.db(), account, instance).await?;
    let offer = offers::offer_now(&cx, &known.ok_or(Error::Missing("instance"))?.service).await?;
    let mut write = cx.begin().await?;
    store::take_turn(write.tx()).await?;
    let latest = store::latest_order(write.tx(), account, instance).await?;
    let latest = latest.ok_or(Error::Missing("instance"))?;
    if builds_on.is_some_and(|known| known != latest.order) {
        return Err(Error::Stale);
    }
    if store::order_in_force(write.tx(), instance).await?.is_none() {
        return Err(Error::Pending);
    }
    let now = write.now();
    quotas::check_orders(write.tx(), account, now).await?;
    // Orders of an instance follow each other, and what billing is told holds from different
    // moments.
    let created = now.max(latest.created.plus(Duration::from_micros(1)));
    let changes = Changes { modules, size };
    let wish = changes.made_to(latest);
    check(&offer, &wish.modules, &wish.size)?;
    let order = OrderId::new(created);
    let order = Order { order, phase: OrderPhase::Placed, problem: None, created, ..wish };
    store::insert_order(write.tx(), &order, Some(&changes)).await?;
    Ok(write.finish(order).await?)
}

fn chosen_plan(offer: &Offer, plan: Option<String>) -> Result<String, Error> {
    let (service, plans) = (offer.service.clone(), listed(&offer.plans));
    match (plan, offer.plans.as_slice()) {
        (Some(plan), known) if known.contains(&plan) => Ok(plan),
        (Some(plan), _) => Err(Error::Plan { service, plan, plans }),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Error::WhichPlan { service, plans }),
    }
}

fn check(offer: &Offer, modules: &BTreeSet<String>, size: &str) -> Result<(), Error> {
    if !offer.manifest.sizes.contains_key(size) {
        let sizes: Vec<&String> = offer.manifest.sizes.keys().collect();
        let size = size.chars().take(60).collect();
        return Err(Error::Size { service: offer.service.clone(), size, sizes: listed(&sizes) });
    }
    offer.manifest.check_modules(modules).map_err(Error::Modules)
}

fn listed(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

pub(crate) async fn get_order(cx: Call<State>, op: GetOrder) -> Result<Order, Error> {
    let order = store::order(cx.db(), op.account, op.order).await?;
    order.ok_or(Error::Missing("order"))
}

pub(crate) async fn list_orders(cx: Call<State>, op: ListOrders) -> Result<Page<Order>, Error> {
    let cursor = op.cursor();
    let orders = store::orders(cx.db(), op.account, &cursor).await?;
    Ok(Page::cut(orders, &cursor, |order| order.order.to_string()))
}

/// The configurator keeps it; the provider only knows whether there is such an instance.
pub(crate) async fn suspend_instance(cx: Call<State>, op: SuspendInstance) -> Result<Empty, Error> {
    let known = store::latest_order(cx.db(), op.account, op.instance).await?;
    known.ok_or(Error::Missing("instance"))?;
    let SuspendInstance { account, instance, reason } = op;
    Ok(cx.peers().call(SetSuspension { account, instance, reason }).await?)
}
