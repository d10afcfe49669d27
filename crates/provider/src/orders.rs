//! Orders: what a customer wants, checked in full before it is accepted.

use api::{
    Empty,
    configurator::SetSuspension,
    provider::{
        ChangeSubscription, GetOrder, ListOrders, Order, OrderPhase, PlaceOrder, SuspendInstance,
    },
};
use chassis::Call;
use types::{InstanceId, OrderId, Page};

use crate::{
    Error, State, hosts,
    model::{
        changes::Changes,
        hosts::{check_host, labels},
        offers::{check, chosen_plan},
        orders::{changed, check_change},
    },
    offers, quotas, store,
};

pub(crate) async fn place_order(cx: Call<State>, op: PlaceOrder) -> Result<Order, Error> {
    let offer = offers::offer_now(&cx, &op.service).await?;
    let plan = chosen_plan(&offer, op.plan)?;
    check(&offer, &op.modules, &op.size)?;
    check_host(&op.host, &cx.state().domain)?;
    let mut write = cx.begin().await?;
    store::take_turn(write.tx()).await?;
    let now = write.now();
    quotas::check_orders(write.tx(), op.account, now).await?;
    quotas::check_instances(write.tx(), op.account).await?;
    let instance = InstanceId::new(now);
    let labels = labels(&op.host);
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
    let in_force = store::order_in_force(write.tx(), instance).await?;
    check_change(builds_on, &latest, in_force.as_ref())?;
    let now = write.now();
    quotas::check_orders(write.tx(), account, now).await?;
    let changes = Changes { modules, size };
    let order = changed(latest, &changes, now);
    check(&offer, &order.modules, &order.size)?;
    store::insert_order(write.tx(), &order, Some(&changes)).await?;
    Ok(write.finish(order).await?)
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
