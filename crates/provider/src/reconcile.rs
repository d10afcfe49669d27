//! Seeing orders through.

use std::time::Duration;

use api::{
    Problem,
    billing::WithdrawSubscription,
    configurator::PutInstance,
    provider::{Order, OrderPhase},
};
use chassis::{Next, Room};

use crate::{
    Error, State,
    store::{self, Stored},
    subscriptions::wish,
};

const AT_ONCE: u32 = 100;
/// Until a step that could not be taken is tried again; doubled after each.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Takes every order that is due one step further. One that cannot go on now is due again later,
/// so it holds up no other.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let due = store::orders_due(room.db(), room.now(), AT_ONCE).await?;
    if due.is_empty() {
        let next = store::next_due(room.db()).await?;
        return Ok(next.map_or(Next::Idle, |due| Next::In(due.since(room.now()))));
    }
    for stored in due {
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
    let told = match order.phase {
        OrderPhase::Placed => tell_billing(room, &order).await,
        OrderPhase::Agreed => tell_configurator(room, &order).await,
        _ => take_back(room, &order).await,
    };
    match told {
        Ok(()) => settle(room, Order { phase: after(order.phase), ..order }).await,
        Err(problem) if problem.is_transient() || order.phase == OrderPhase::Undoing => {
            tracing::warn!(order = %order.order, %problem, "will be tried again");
            let pause = PAUSE * 2_u32.pow(tries.min(10));
            let due = room.now().plus(pause.min(PAUSE_MAX));
            Ok(store::try_later(room.db(), order.order, due).await?)
        }
        Err(problem) => {
            let problem = Some(problem.detail);
            settle(room, Order { phase: OrderPhase::Undoing, problem, ..order }).await
        }
    }
}

const fn after(phase: OrderPhase) -> OrderPhase {
    match phase {
        OrderPhase::Placed => OrderPhase::Agreed,
        OrderPhase::Agreed | OrderPhase::Complete => OrderPhase::Complete,
        OrderPhase::Undoing | OrderPhase::Failed => OrderPhase::Failed,
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

async fn tell_billing(room: &Room<State>, order: &Order) -> Result<(), Problem> {
    room.peers().call(wish(order)).await.map(drop)
}

async fn tell_configurator(room: &Room<State>, order: &Order) -> Result<(), Problem> {
    let put = PutInstance {
        account: order.account,
        instance: order.instance,
        service: order.service.clone(),
        host: order.host.clone(),
        modules: order.modules.clone(),
        size: order.size.clone(),
    };
    room.peers().call(put).await.map(drop)
}

/// Also where billing refused: it may have agreed to the same before, and the answer was lost.
async fn take_back(room: &Room<State>, order: &Order) -> Result<(), Problem> {
    let Order { account, instance, created: since, .. } = *order;
    room.peers().call(WithdrawSubscription { account, instance, since }).await.map(drop)
}
