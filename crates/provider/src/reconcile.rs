//! Seeing orders through.

use api::{
    Problem,
    billing::WithdrawSubscription,
    provider::{Order, OrderPhase},
};
use chassis::{Next, Room, pause};

use crate::{
    Error, State,
    model::orders::{Step, after, instance, next_step, subscription},
    store::{self, Stored},
};

const AT_ONCE: u32 = 100;

/// Takes every order that is due one step further. One that cannot go on now is due again later,
/// so it holds up no other.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let first = store::next_due(room.db()).await?;
    if let Some(rest) = Next::rest(first, room.now()) {
        return Ok(rest);
    }
    for stored in store::orders_due(room.db(), room.now(), AT_ONCE).await? {
        take_step(&room, stored).await?;
    }
    Ok(Next::Now)
}

async fn take_step(room: &Room<State>, stored: Stored) -> Result<(), Error> {
    let Stored { order, changes, tries } = stored;
    // Its turn has come only now, so nothing else is changing what it builds on.
    let order = match (&changes, order.phase) {
        (Some(changes), OrderPhase::Placed) => {
            let in_force = store::order_in_force(room.db(), order.instance).await?;
            let Order { modules, size, .. } = changes.made_to(in_force.ok_or(Error::Pending)?);
            Order { modules, size, ..order }
        }
        _ => order,
    };
    let Some(step) = next_step(order.phase) else { return Ok(()) };
    let told = tell(room, step, &order).await;
    if let Err(problem) = &told {
        tracing::warn!(order = %order.order, %problem, "the order cannot go on as it is");
    }
    let id = order.order;
    match after(step, told, order) {
        Some(order) => settle(room, order).await,
        None => Ok(store::try_later(room.db(), id, room.now().plus(pause(tries))).await?),
    }
}

async fn tell(room: &Room<State>, step: Step, order: &Order) -> Result<(), Problem> {
    let peers = room.peers();
    match step {
        Step::AskBilling => peers.call(subscription(order)).await.map(drop),
        Step::TellConfigurator => peers.call(instance(order)).await.map(drop),
        Step::TakeBack => {
            let Order { account, instance, created: since, .. } = *order;
            peers.call(WithdrawSubscription { account, instance, since }).await.map(drop)
        }
    }
}

async fn settle(room: &Room<State>, order: Order) -> Result<(), Error> {
    let mut write = room.begin().await?;
    store::update_order(write.tx(), &order).await?;
    if order.phase == OrderPhase::Failed {
        store::release_host(write.tx(), &order).await?;
    }
    Ok(write.commit().await?)
}
