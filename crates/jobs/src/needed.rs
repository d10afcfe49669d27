//! Releases that are not current any more and are needed all the same: only they can do some jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
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
pub(crate) const RELEASES_MAX: u32 = 100;

/// After so long it is told again, whatever has become of who was told.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// What was told, of each service, and when it was looked at last, and when all was told last.
#[derive(Debug, Default)]
pub(crate) struct Told {
    of: BTreeMap<Name, BTreeSet<Digest>>,
    looked: Option<Instant>,
    all: Option<Timestamp>,
}

/// Tells `releases` which ones nodes must have, since the release that an instance is on does not
/// accept some jobs of it. Of those that do, the newest is named.
pub(crate) async fn tell_releases(room: Room<Memory>) -> Result<Next, Error> {
    let mut told = room.state().needed.lock().await;
    let rest = told.looked.and_then(|looked| LOOK_AGAIN.checked_sub(looked.elapsed()));
    if let Some(rest) = rest.filter(|rest| !rest.is_zero()) {
        return Ok(Next::In(rest));
    }
    let (begun, now) = (Instant::now(), room.now());
    let mut needed: BTreeMap<Name, BTreeSet<Digest>> = BTreeMap::new();
    for (kind, _) in store::kinds(room.db()).await? {
        let of = needed.entry(kind.service.clone()).or_default();
        if kind.class != SETUP_CLASS {
            of.extend(needed_for(&room, &kind).await?);
        }
    }
    if told.all.is_none_or(|all| now.since(all) >= TELL_AGAIN) {
        told.of.retain(|_, releases| releases.is_empty());
        told.all = Some(now);
    }
    for (service, releases) in needed {
        if told.of.get(&service) != Some(&releases) {
            let (name, keep) = (service.clone(), releases.clone());
            room.peers().call(KeepReleases { service: name, releases: keep }).await?;
            told.of.insert(service, releases);
        }
    }
    told.looked = Some(begun);
    Ok(Next::Idle)
}

/// The newest releases that do jobs of a kind, if there are some that those do not accept which their
/// instances are on, and that read the databases of these.
async fn needed_for(room: &Room<Memory>, kind: &Kind) -> Result<BTreeSet<Digest>, Error> {
    let mut needed = BTreeSet::new();
    // As long as it was not told which one an instance is on, the newest does what it can.
    for release in room.state().in_use.of(&kind.service).into_iter().flatten() {
        let Some(own) = known(room, &release).await? else { continue };
        let is_done = own.accepting(kind).is_some();
        if is_done || !store::has_jobs(room.db(), kind.id(), &release).await? {
            continue;
        }
        for other in store::releases_of(room.db(), &kind.service, RELEASES_MAX).await? {
            let known = known(room, &other).await?;
            if known.is_some_and(|known| known.does_for(&own, kind)) {
                needed.insert(other);
                break;
            }
        }
    }
    Ok(needed)
}
