//! Releases that are not current any more and are needed all the same: only they can do some jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::{jobs::SETUP_CLASS, releases::KeepReleases};
use chassis::{Next, Room};
use types::{Digest, Name, Timestamp};

use crate::{
    Error, State as Memory,
    releases::known,
    store::{self, Kind},
};

/// So often it is looked at most, however much is queued.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// So many of a service's releases are looked through for one that does a job.
const RELEASES_MAX: u32 = 100;

/// What was told, of each service, and when it was looked at last.
#[derive(Debug, Default)]
pub(crate) struct Told {
    of: BTreeMap<Name, BTreeSet<Digest>>,
    looked: Option<Timestamp>,
}

/// Tells `releases` which ones nodes must have, since the release that an instance is on does not
/// accept some jobs of it. Of those that do, the newest is named.
pub(crate) async fn tell_releases(room: Room<Memory>) -> Result<Next, Error> {
    let mut told = room.state().needed.lock().await;
    let now = room.now();
    let since = told.looked.map_or(LOOK_AGAIN, |looked| now.since(looked));
    // A clock that was set back makes nobody wait.
    if since < LOOK_AGAIN && told.looked.is_some_and(|looked| looked <= now) {
        return Ok(Next::In(LOOK_AGAIN.saturating_sub(since)));
    }
    let mut needed: BTreeMap<Name, BTreeSet<Digest>> = BTreeMap::new();
    for (kind, _) in store::kinds(room.db()).await? {
        let of = needed.entry(kind.service.clone()).or_default();
        if kind.class != SETUP_CLASS {
            of.extend(needed_for(&room, &kind).await?);
        }
    }
    for (service, releases) in needed {
        if told.of.get(&service) != Some(&releases) {
            let (name, keep) = (service.clone(), releases.clone());
            room.peers().call(KeepReleases { service: name, releases: keep }).await?;
            told.of.insert(service, releases);
        }
    }
    told.looked = Some(now);
    Ok(Next::Idle)
}

/// The newest release that does jobs of a kind, if there are some that those do not accept which their
/// instances are on.
async fn needed_for(room: &Room<Memory>, kind: &Kind) -> Result<Option<Digest>, Error> {
    let mut behind = Vec::new();
    for own in room.state().in_use.of(&kind.service) {
        // As long as it was not told which one it is, the newest does what it can.
        if let Some(release) = own
            && !accepts(room, &release, kind).await?
        {
            behind.push(release);
        }
    }
    if behind.is_empty() || !store::has_jobs(room.db(), kind.id(), &behind).await? {
        return Ok(None);
    }
    for release in store::releases_of(room.db(), &kind.service, RELEASES_MAX).await? {
        if accepts(room, &release, kind).await? {
            return Ok(Some(release));
        }
    }
    Ok(None)
}

async fn accepts(room: &Room<Memory>, release: &Digest, kind: &Kind) -> Result<bool, Error> {
    let known = known(room, release).await?;
    let definition = known.as_ref().and_then(|known| known.1.get(&kind.name));
    Ok(definition.is_some_and(|definition| definition.accepts(kind.version)))
}
