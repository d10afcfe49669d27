//! What the gateways and access are told of releases.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{access::KeepCatalogues, releases::ServiceRelease};
use chassis::{Next, Room};
use types::{Digest, Name};

use crate::{
    Error, State,
    in_use::Releases,
    planning,
    store::{self, Stored},
};

/// Has the feed tell of the releases that instances are on or may be, and of no others.
pub(crate) async fn tell(room: Room<State>) -> Result<Next, Error> {
    let Some(plan) = planning::plan_if_known(&room).await? else { return Ok(Next::Idle) };
    let mut known = room.state().told.lock().await;
    if known.as_ref().is_some_and(|told| Arc::ptr_eq(told, &plan.releases)) {
        return Ok(Next::Idle);
    }
    let told = store::releases_told(room.db()).await?;
    let wanted: BTreeMap<&str, &Arc<Stored>> =
        plan.releases.all().map(|stored| (stored.release.digest.as_str(), stored)).collect();
    let news: Vec<&Arc<Stored>> =
        wanted.iter().filter(|(name, _)| !told.contains(**name)).map(|(_, it)| *it).collect();
    let gone: Vec<&String> =
        told.iter().filter(|name| !wanted.contains_key(name.as_str())).collect();
    if !news.is_empty() || !gone.is_empty() {
        let mut write = room.begin().await?;
        for stored in news {
            let Stored { release, manifest, .. } = &**stored;
            let (service, digest) = (release.service.clone(), release.digest.clone());
            store::put_release_told(write.tx(), digest.as_str()).await?;
            write.put(&ServiceRelease { service, digest, manifest: manifest.clone() }).await?;
        }
        for name in gone {
            store::delete_release_told(write.tx(), name).await?;
            write.remove::<ServiceRelease>(name).await?;
        }
        write.commit().await?;
    }
    *known = Some(Arc::clone(&plan.releases));
    Ok(Next::Idle)
}

/// What access was told, and the releases that it followed from.
#[derive(Default)]
pub(crate) struct Kept {
    releases: Option<Releases>,
    told: BTreeMap<Name, BTreeSet<Digest>>,
}

/// Tells access which releases instances are on, so that what their routes need stays known.
pub(crate) async fn tell_access(room: Room<State>) -> Result<Next, Error> {
    let Some(plan) = planning::plan_if_known(&room).await? else { return Ok(Next::Idle) };
    let mut kept = room.state().kept.lock().await;
    if kept.releases.as_ref().is_some_and(|known| Arc::ptr_eq(known, &plan.releases)) {
        return Ok(Next::Idle);
    }
    let mut in_use: BTreeMap<Name, BTreeSet<Digest>> = BTreeMap::new();
    for stored in plan.releases.all() {
        let (service, digest) = (stored.release.service.clone(), stored.release.digest.clone());
        in_use.entry(service).or_default().insert(digest);
    }
    for (service, releases) in in_use {
        if kept.told.get(&service) != Some(&releases) {
            let (name, keep) = (service.clone(), releases.clone());
            room.peers().call(KeepCatalogues { service: name, releases: keep }).await?;
            kept.told.insert(service, releases);
        }
    }
    kept.releases = Some(Arc::clone(&plan.releases));
    Ok(Next::Idle)
}
