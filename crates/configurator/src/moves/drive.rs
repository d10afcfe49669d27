//! Has instances go on that are on their way, a few at once, each for itself: one that takes long
//! holds up no other.

use std::{collections::HashSet, time::Duration};

use chassis::{Next, Room};
use tokio::task::JoinSet;
use types::InstanceId;

use super::{
    enter::enter,
    steps::{Outcome, take},
};
use crate::{Error, State, store};

/// So many move at once: a server of databases does not copy more of them in the same time.
const AT_ONCE: u32 = 4;
/// So many move at once that only wait for their jobs.
const LIGHT_AT_ONCE: u32 = 50;
/// When to look again for what nobody tells of.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// When to look again for what is told.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// When to try again what failed because somebody could not be reached.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Has all go on that are under way, until none is. Each is a task of its own: were they polled from here,
/// none would be while this waits for a connection, and those that have all connections would keep them.
pub(crate) async fn go_on(room: Room<State>) -> Result<Next, Error> {
    let (mut driven, mut named) = (JoinSet::new(), HashSet::new());
    loop {
        let under_way = store::moves_under_way(room.db(), (AT_ONCE, LIGHT_AT_ONCE)).await;
        if under_way.is_err() {
            // None is left that could do what somebody else begins to do.
            driven.shutdown().await;
        }
        for instance in under_way? {
            if named.insert(instance) {
                driven.spawn(drive(room.clone(), instance));
            }
        }
        if driven.is_empty() {
            return Ok(Next::Idle);
        }
        tokio::select! {
            Some(ended) = driven.join_next() => match ended {
                Ok(instance) => drop(named.remove(&instance)),
                Err(cause) => match cause.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => return Ok(Next::Now),
                },
            },
            () = room.state().wakes.more.notified() => {}
        }
    }
}

/// Takes an instance's steps, one after the other. What cannot be done now is tried again.
async fn drive(room: Room<State>, instance: InstanceId) -> InstanceId {
    let wakes = &room.state().wakes;
    let woken = wakes.listen(instance);
    loop {
        match step(&room, instance).await {
            Ok(Went::On) => {}
            Ok(Went::Nowhere(pause)) => drop(tokio::time::timeout(pause, woken.notified()).await),
            Ok(Went::Home) => {
                wakes.forget(instance);
                return instance;
            }
            Err(problem) => {
                tracing::warn!(%instance, %problem, "an instance cannot go on its way now");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

/// What came of looking after an instance.
enum Went {
    On,
    /// It is looked at again after so long, or when something is told of it.
    Nowhere(Duration),
    Home,
}

async fn step(room: &Room<State>, instance: InstanceId) -> Result<Went, Error> {
    let known = store::look(room.db(), instance).await?;
    let known = known.filter(|(it, _)| !it.step.has_ended());
    let Some((it, wanted)) = known else { return Ok(Went::Home) };
    let outcome = take(room, &it, wanted).await?;
    let it = if let Outcome::InPlace(copy) = outcome { it.in_place(copy) } else { it };
    let (next, problem) = match outcome {
        Outcome::Waits => return Ok(Went::Nowhere(LOOK_AGAIN)),
        Outcome::IsTold => return Ok(Went::Nowhere(ASK_AGAIN)),
        Outcome::Done | Outcome::InPlace(_) => (it.needs.next(it.step), None),
        Outcome::Begins(step) => (step, None),
        Outcome::Fails(why) => (it.needs.back(it.step), Some(why)),
    };
    let (was_light, is_light) = (it.needs.is_light(it.step), it.needs.is_light(next));
    enter(room, it, next, problem).await?;
    if is_light && !was_light {
        // Another one may have its place.
        room.state().wakes.more.notify_one();
    }
    // What has only waited takes its turn among the others.
    let takes_turn = was_light && !is_light && !next.has_ended();
    Ok(if takes_turn { Went::Home } else { Went::On })
}
