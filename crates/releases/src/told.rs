//! What the gateways are told of releases.

use std::{collections::BTreeMap, sync::Arc};

use api::releases::ServiceRelease;
use chassis::{Next, Room};

use crate::{
    Error, State, planning,
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
