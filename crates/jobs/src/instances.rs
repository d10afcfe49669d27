//! Whose instances there are, and what becomes of the jobs of those that end.

use api::{
    Empty,
    jobs::{InstanceState, PutInstance},
};
use chassis::{Next, Room, Write};
use types::InstanceId;

use crate::{
    Error, State as Memory,
    fates::{Settled, settle},
    model::{Fate, State},
    releases::current_here,
    schedules::follow_instance,
    store,
};

const AT_ONCE: u32 = 500;

pub(crate) async fn put_instance(cx: &mut Write<Memory>, op: PutInstance) -> Result<Empty, Error> {
    let known = store::instance(cx.tx(), op.instance).await?;
    if known.is_some_and(|known| has_ended(&known.state)) {
        return Ok(Empty {});
    }
    let state = match op.state {
        InstanceState::Open => "open",
        InstanceState::Closed => "closed",
        InstanceState::Ended => "ending",
    };
    store::put_instance(cx.tx(), &op, state).await?;
    store::set_closed(cx.tx(), op.instance, op.state != InstanceState::Open).await?;
    // Not before nobody can make another release the current one.
    store::keep_releases(cx.tx(), &op.service).await?;
    let known = current_here(cx, &op.service).await?;
    let definitions = known.map(|known| known.1.clone()).unwrap_or_default();
    follow_instance(cx, &op, &definitions).await?;
    Ok(Empty {})
}

/// Whether nothing more is done for an instance.
pub(crate) fn has_ended(state: &str) -> bool {
    matches!(state, "ending" | "ended")
}

/// Drops the jobs that wait for instances which have ended, and stops those that run.
pub(crate) async fn drop_jobs(room: Room<Memory>) -> Result<Next, Error> {
    let ending = store::instances_ending(room.db(), AT_ONCE).await?;
    let Some(instance) = ending.first() else { return Ok(Next::Idle) };
    let mut write = room.begin().await?;
    let dropped = drop_some(&mut write, *instance).await?;
    if dropped == 0 {
        store::set_ended(write.tx(), *instance).await?;
    }
    write.commit().await?;
    Ok(Next::Now)
}

async fn drop_some(write: &mut Write<Memory>, instance: InstanceId) -> Result<usize, Error> {
    let mut dropped = 0;
    for lane in store::lanes_of(write.tx(), instance).await? {
        for state in State::WAITING {
            let entries = store::entries_of_lane(write.tx(), lane, state, AT_ONCE).await?;
            dropped += entries.len();
            let problem = || Some("its instance has ended".to_owned());
            let fate = || Fate::Ended { state: State::Dropped, lost: 0, problem: problem() };
            settle(write, entries.into_iter().map(|entry| Settled::of(entry, fate())).collect())
                .await?;
        }
        let running = store::entries_of_lane(write.tx(), lane, State::Running, AT_ONCE).await?;
        let running = running.iter().map(|entry| entry.job).collect::<Vec<_>>();
        store::set_cancelled(write.tx(), &running).await?;
    }
    Ok(dropped)
}
