//! Seeing orders through.

use api::{
    Problem,
    billing::PutSubscription,
    configurator::PutInstance,
    provider::{Order, OrderPhase},
};
use chassis::{Next, Room};

use crate::{Error, State, store};

/// Takes every order that is under way one step further. One that fails holds up no other.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let orders = store::orders_under_way(room.db()).await?;
    let (mut moved, mut waiting) = (false, None);
    for order in orders {
        let told = match order.phase {
            OrderPhase::Placed => tell_configurator(&room, &order).await,
            _ => tell_billing(&room, &order).await,
        };
        let (phase, problem) = match told {
            Ok(()) if order.phase == OrderPhase::Placed => (OrderPhase::Configured, None),
            Ok(()) => (OrderPhase::Complete, None),
            Err(problem) if problem.is_transient() => {
                waiting = Some(problem);
                continue;
            }
            Err(problem) => (OrderPhase::Failed, Some(problem.detail)),
        };
        let mut write = room.begin().await?;
        store::set_phase(write.tx(), order.order, phase, problem.as_deref()).await?;
        // What was refused before anything was made lets go of the host.
        if phase == OrderPhase::Failed && order.phase == OrderPhase::Placed {
            store::release_host(write.tx(), &order).await?;
        }
        write.commit().await?;
        moved = true;
    }
    match (moved, waiting) {
        (true, _) => Ok(Next::Now),
        (false, Some(problem)) => Err(problem.into()),
        (false, None) => Ok(Next::Idle),
    }
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

async fn tell_billing(room: &Room<State>, order: &Order) -> Result<(), Problem> {
    let put = PutSubscription {
        account: order.account,
        instance: order.instance,
        service: order.service.clone(),
        host: order.host.clone(),
        plan: order.plan.clone(),
        size: order.size.clone(),
        modules: order.modules.clone(),
        since: order.created,
    };
    room.peers().call(put).await.map(drop)
}
