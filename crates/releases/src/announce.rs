//! Telling everybody about a release.

use std::collections::BTreeMap;

use api::{
    Problem,
    access::{CatalogueEntry, PutCatalogue},
    billing::{PutPriceBook, Words},
    configurator::PutService,
    provider::PutOffer,
    releases::{ReleasePhase, ServiceRelease},
};
use chassis::{Next, Room};
use types::Permission;

use crate::{
    Error, State,
    store::{self, Stored},
};

/// Announces what has not been announced, one after the other: what is told last is what holds, so
/// an older release of a service is never told after a newer one. One that fails holds up no other
/// service.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let _turn = room.state().announcing.lock().await;
    let waiting = store::releases_in(room.db(), ReleasePhase::Announcing).await;
    let mut unreached = BTreeMap::new();
    for stored in waiting? {
        let service = stored.release.service.clone();
        if unreached.contains_key(&service) {
            continue;
        }
        match tell_everybody(&room, &stored).await {
            Ok(()) => settle(&room, stored, None).await?,
            Err(problem) if problem.is_transient() => drop(unreached.insert(service, problem)),
            Err(problem) => settle(&room, stored, Some(problem.detail)).await?,
        }
    }
    unreached.into_values().next().map_or(Ok(Next::Idle), |problem| Err(problem.into()))
}

/// The offer comes last: what can be ordered can be made, decided about and billed.
async fn tell_everybody(room: &Room<State>, stored: &Stored) -> Result<(), Problem> {
    let peers = room.peers();
    let (service, release) = (stored.release.service.clone(), stored.release.digest.clone());
    let manifest = stored.manifest.clone();
    peers.call(PutService { service, release, manifest }).await?;
    let (service, permissions) = (stored.release.service.clone(), permissions(stored));
    peers.call(PutCatalogue { service, permissions }).await?;
    let (service, book) = (stored.release.service.clone(), stored.prices.clone());
    let words = Some(Words::of(&stored.manifest));
    peers.call(PutPriceBook { service, book, words }).await?;
    let offer = PutOffer {
        service: stored.release.service.clone(),
        release: stored.release.digest.clone(),
        manifest: stored.manifest.clone(),
        plans: stored.prices.plans.keys().cloned().collect(),
    };
    peers.call(offer).await.map(drop)
}

fn permissions(stored: &Stored) -> Vec<CatalogueEntry> {
    let service = &stored.release.service;
    let entry = |(verb, entry): (&String, &api::manifest::PermissionEntry)| {
        let permission: Permission = format!("{service}.{verb}").parse().ok()?;
        Some(CatalogueEntry { permission, title: entry.title.clone(), level: entry.level })
    };
    stored.manifest.permissions.iter().filter_map(entry).collect()
}

async fn settle(room: &Room<State>, stored: Stored, problem: Option<String>) -> Result<(), Error> {
    let phase = if problem.is_some() { ReleasePhase::Failed } else { ReleasePhase::Published };
    let mut write = room.begin().await?;
    let (service, digest) = (stored.release.service, stored.release.digest);
    store::set_phase(write.tx(), &service, &digest, phase, problem.as_deref()).await?;
    if phase == ReleasePhase::Published {
        store::set_current(write.tx(), &service, &digest).await?;
        let manifest = stored.manifest;
        write.put(&ServiceRelease { service, digest, manifest }).await?;
    }
    Ok(write.commit().await?)
}
