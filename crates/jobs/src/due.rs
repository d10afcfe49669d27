//! What waits for a date or a gate, and what has been kept for long enough.

use api::jobs::Gate;
use chassis::{Next, Room};

use crate::{
    Error, State as Memory,
    model::{State, place},
    store::{self, Moves},
};

const AT_ONCE: u32 = 1_000;

/// Makes ready what is due. Who returns from here finds all of it: what somebody else is just making
/// ready is waited for.
pub(crate) async fn make_due(room: &Room<Memory>) -> Result<(), Error> {
    while is_any_due(room).await? {
        let _turn = room.state().making_due.lock().await;
        if !is_any_due(room).await? {
            break;
        }
        let mut write = room.begin().await?;
        let now = write.now();
        let mut moves = Moves::default();
        for lane in store::make_due(write.tx(), now, AT_ONCE).await? {
            moves.moved(lane, Some(State::Delayed), Some(State::Ready));
        }
        let none = moves == Moves::default();
        store::count(write.tx(), moves).await?;
        write.commit().await?;
        if none {
            // What is due is being taken back at this moment.
            break;
        }
    }
    Ok(())
}

async fn is_any_due(room: &Room<Memory>) -> Result<bool, Error> {
    Ok(store::next_due(room.db()).await?.is_some_and(|next| next <= room.now()))
}

/// Wakes those who wait for a job when one is due.
pub(crate) async fn wait_for_due(room: Room<Memory>) -> Result<Next, Error> {
    if let Some(rest) = Next::rest(store::next_due(room.db()).await?, room.now()) {
        return Ok(rest);
    }
    make_due(&room).await?;
    Ok(Next::Soon)
}

/// Lets go what is held at gates that are not closed any more.
pub(crate) async fn release_held(room: Room<Memory>) -> Result<Next, Error> {
    let lanes = store::lanes_to_release(room.db(), AT_ONCE).await?;
    if lanes.is_empty() {
        return Ok(Next::Idle);
    }
    for lane in lanes {
        let mut write = room.begin().await?;
        let now = write.now();
        let (mut moves, mut states) = (Moves::default(), Vec::new());
        let held = store::entries_of_lane(write.tx(), lane, State::Held, AT_ONCE).await?;
        let Some(first) = held.first() else { continue };
        // It may have been closed again meanwhile; it is not while this is written.
        let instance = store::instance(write.tx(), first.instance).await?;
        if instance.is_some_and(|instance| instance.gate != Gate::Open) {
            continue;
        }
        for entry in held {
            let state = place(false, entry.blocked_by, entry.not_before, now);
            moves.moved(lane, Some(State::Held), Some(state));
            states.push((entry.job, state));
        }
        store::set_states(write.tx(), &states).await?;
        store::count(write.tx(), moves).await?;
        write.commit().await?;
    }
    Ok(Next::Now)
}

/// Forgets jobs and keys that were kept for long enough.
pub(crate) async fn forget(room: Room<Memory>) -> Result<Next, Error> {
    // Who finds nothing does not hold up those who write.
    if !store::is_anything_old(room.db(), room.now()).await? {
        return Ok(Next::Idle);
    }
    let mut write = room.begin().await?;
    let now = write.now();
    let forgotten = store::prune(write.tx(), now, AT_ONCE).await?;
    let keys = store::prune_keys(write.tx(), now, AT_ONCE).await?;
    let mut moves = Moves::default();
    for (lane, state) in &forgotten {
        moves.moved(*lane, Some(*state), None);
    }
    store::count(write.tx(), moves).await?;
    write.commit().await?;
    let all = forgotten.len() >= AT_ONCE as usize || keys == u64::from(AT_ONCE);
    Ok(if all { Next::Now } else { Next::Idle })
}
