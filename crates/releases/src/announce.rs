//! Telling everybody about a release.

use api::{
    Problem,
    access::{CatalogueEntry, PutCatalogue},
    billing::PutPriceBook,
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

/// Announces what has not been announced. One that fails holds up no other.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Problem> {
    let waiting = store::releases_in(room.db(), ReleasePhase::Announcing).await;
    let mut unreached = None;
    for stored in waiting.map_err(Error::from)? {
        match tell_everybody(&room, &stored).await {
            Ok(()) => settle(&room, stored, None).await?,
            Err(problem) if problem.is_transient() => unreached = Some(problem),
            Err(problem) => settle(&room, stored, Some(problem.detail)).await?,
        }
    }
    unreached.map_or(Ok(Next::Idle), Err)
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
    peers.call(PutPriceBook { service, book }).await?;
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

async fn settle(
    room: &Room<State>,
    stored: Stored,
    problem: Option<String>,
) -> Result<(), Problem> {
    let phase = if problem.is_some() { ReleasePhase::Failed } else { ReleasePhase::Published };
    let mut write = room.begin().await?;
    let (service, digest) = (stored.release.service, stored.release.digest);
    store::set_phase(write.tx(), &service, &digest, phase, problem.as_deref())
        .await
        .map_err(Error::from)?;
    if phase == ReleasePhase::Published {
        store::set_current(write.tx(), &service, &digest).await.map_err(Error::from)?;
        let manifest = stored.manifest;
        write.put(&ServiceRelease { service, digest, manifest }).await.map_err(Error::from)?;
    }
    write.commit().await
}
