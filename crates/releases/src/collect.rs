//! Packages that nobody needs are deleted.
//!
//! Needed is what a node may be told to have, now or by a promotion that is likely: the current
//! release of each service, what instances are on, what jobs need, what was published last, and what
//! the last rollouts led to and from. What was stored a moment ago is about to be published.

use std::{collections::HashSet, time::Duration};

use chassis::{Next, Room};
use types::Digest;

use crate::{Error, State, planning, store};

/// So many of a service's last releases keep their packages, those that were refused not counted.
const RELEASES_KEPT: u32 = 10;
/// What so many of a service's last rollouts led to and from keeps its package: the ways back.
const ROLLOUTS_KEPT: u32 = 10;
/// What was stored within this time is kept.
const FRESH: Duration = Duration::from_hours(1);
/// How often it is looked.
const PAUSE: Duration = Duration::from_mins(5);

/// Looks from time to time what is needed, and deletes the rest.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let (state, now) = (room.state(), room.now());
    let mut looked = state.collected.lock().await;
    if looked.is_some_and(|looked| now < looked.plus(PAUSE)) {
        return Ok(Next::Idle);
    }
    // As long as it is not known what instances are on, all may be needed.
    let Some(unneeded) = unneeded(&room).await? else { return Ok(Next::Idle) };
    for digest in unneeded {
        let _turn = state.turns.of(&digest).lock_owned().await;
        // It may have been stored, published or promoted meanwhile; from now on it is not.
        if !self::unneeded(&room).await?.is_some_and(|unneeded| unneeded.contains(&digest)) {
            continue;
        }
        // The package goes first: a row without one is found again, and does no harm.
        state.storage.delete(&digest).await?;
        let mut write = room.begin().await?;
        store::delete_package(write.tx(), &digest).await?;
        write.commit().await?;
        tracing::info!(%digest, "a package that nobody needs was deleted");
    }
    *looked = Some(now);
    Ok(Next::Idle)
}

async fn unneeded(room: &Room<State>) -> Result<Option<Vec<Digest>>, Error> {
    let Some(needed) = needed(room).await? else { return Ok(None) };
    let mut old = store::packages_before(room.db(), room.now().minus(FRESH)).await?;
    old.retain(|digest| !needed.contains(digest));
    Ok(Some(old))
}

async fn needed(room: &Room<State>) -> Result<Option<HashSet<Digest>>, Error> {
    let Some(plan) = planning::plan_if_known(room).await? else { return Ok(None) };
    let mut needed = store::needed(room.db(), (RELEASES_KEPT, ROLLOUTS_KEPT)).await?;
    let told = plan.releases.all().chain(plan.releases.beside());
    needed.extend(told.map(|stored| stored.release.digest.clone()));
    // Also those of instances whose release this database has lost.
    room.state().planning.each_route(|route| {
        needed.insert(route.release.clone());
        needed.extend(route.moving.iter().flat_map(|moving| moving.runs.iter().cloned()));
    })?;
    Ok(Some(needed))
}
