//! Asking everybody about a release, and switching to it.
//!
//! First each peer is asked: it checks its part and keeps it, or refuses. If one refuses, the others
//! forget theirs, and nothing has changed. Once all have agreed, that is written down, and each is
//! told to promote what it kept, which nobody refuses. Every step may be repeated, so a crash
//! anywhere is only a pause.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use api::{
    Operation, Problem,
    access::{CatalogueEntry, DropCatalogue, PromoteCatalogue, PutCatalogue},
    billing::{DropPrices, PromotePrices, PutReleasePrices, Words},
    configurator::{DropService, PromoteService, PutService},
    jobs::{DropJobs, PromoteJobs, PutJobs},
    provider::{DropOffer, PromoteOffer, PutOffer},
    releases::{ReleasePhase, ServiceRelease},
};
use chassis::{Next, Room};
use types::Permission;

use crate::{
    Error, State,
    store::{self, Stored},
};

/// Sees through what is not settled, in the order of turns: of two releases of a service the one
/// that was published last is what holds in the end. A service that cannot go on holds up no other.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let _turn = room.state().announcing.lock().await;
    let mut unreached = BTreeMap::new();
    for stored in store::unsettled(room.db()).await? {
        let service = stored.release.service.clone();
        if unreached.contains_key(&service) {
            continue;
        }
        if let Err(problem) = see_through(&room, stored).await {
            unreached.insert(service, problem);
        }
    }
    unreached.into_values().next().map_or(Ok(Next::Idle), Err)
}

/// Tells everybody once after the start what is current: whoever has lost their database since, or
/// been given an older one, has it again. Whoever knows it hears nothing new.
pub(crate) async fn remind(room: Room<State>) -> Result<Next, Error> {
    let _turn = room.state().announcing.lock().await;
    if room.state().reminded.load(Ordering::Acquire) {
        return Ok(Next::Idle);
    }
    let mut failed = None;
    for stored in store::current_releases(room.db()).await? {
        match promote(&room, &stored).await {
            Ok(()) => {}
            Err(problem) if problem.is_transient() => failed = Some(problem),
            Err(problem) => {
                let service = &stored.release.service;
                tracing::warn!(%service, %problem, "a release was forgotten; everybody is asked again");
                settle(&room, &stored, ReleasePhase::Announcing, None).await?;
            }
        }
    }
    room.state().reminded.store(failed.is_none(), Ordering::Release);
    failed.map_or(Ok(Next::Idle), |problem| Err(problem.into()))
}

async fn see_through(room: &Room<State>, stored: Stored) -> Result<(), Error> {
    if stored.release.phase == ReleasePhase::Announcing {
        match ask_everybody(room, &stored).await {
            Ok(()) if settle(room, &stored, ReleasePhase::Promoting, None).await? => {}
            // It was published again meanwhile: it has another turn.
            Ok(()) => return Ok(()),
            Err(problem) if problem.is_transient() => return Err(problem.into()),
            Err(refusal) => {
                withdraw(room, &stored).await?;
                settle(room, &stored, ReleasePhase::Failed, Some(&refusal.detail)).await?;
                return Ok(());
            }
        }
    }
    match promote(room, &stored).await {
        Ok(()) => publish(room, stored).await,
        Err(problem) if problem.is_transient() => Err(problem.into()),
        Err(problem) => {
            // Only a peer that has lost what it kept, with its database, does not know it.
            tracing::error!(%problem, "a promotion was refused; everybody is asked again");
            settle(room, &stored, ReleasePhase::Announcing, None).await?;
            Err(problem.into())
        }
    }
}

async fn ask_everybody(room: &Room<State>, stored: &Stored) -> Result<(), Problem> {
    let (service, release) = (&stored.release.service, &stored.release.digest);
    let ask = PutService {
        service: service.clone(),
        release: release.clone(),
        manifest: stored.manifest.clone(),
    };
    tell(room, ask).await?;
    tell(room, PutJobs::of(service.clone(), release.clone(), &stored.manifest)).await?;
    let (book, words) = (stored.prices.clone(), Words::of(&stored.manifest));
    let permissions = permissions(stored);
    let ask = PutCatalogue { service: service.clone(), release: release.clone(), permissions };
    tell(room, ask).await?;
    let ask = PutReleasePrices { service: service.clone(), release: release.clone(), book, words };
    tell(room, ask).await?;
    let ask = PutOffer {
        service: service.clone(),
        release: release.clone(),
        manifest: stored.manifest.clone(),
        plans: stored.prices.plans.keys().cloned().collect(),
    };
    tell(room, ask).await
}

/// The offer comes last: what can be ordered can be made, set up, decided about and billed.
async fn promote(room: &Room<State>, stored: &Stored) -> Result<(), Problem> {
    let turn = stored.turn;
    let names = || (stored.release.service.clone(), stored.release.digest.clone());
    let (service, release) = names();
    tell(room, PromoteJobs { service, release, turn }).await?;
    let (service, release) = names();
    tell(room, PromoteService { service, release, turn }).await?;
    let (service, release) = names();
    tell(room, PromoteCatalogue { service, release, turn }).await?;
    let (service, release) = names();
    tell(room, PromotePrices { service, release, turn }).await?;
    let (service, release) = names();
    tell(room, PromoteOffer { service, release, turn }).await
}

async fn withdraw(room: &Room<State>, stored: &Stored) -> Result<(), Problem> {
    let names = || (stored.release.service.clone(), stored.release.digest.clone());
    let (service, release) = names();
    tell(room, DropService { service, release }).await?;
    let (service, release) = names();
    tell(room, DropCatalogue { service, release }).await?;
    let (service, release) = names();
    tell(room, DropJobs { service, release }).await?;
    let (service, release) = names();
    tell(room, DropPrices { service, release }).await?;
    let (service, release) = names();
    tell(room, DropOffer { service, release }).await
}

async fn tell<O: Operation<Reply = api::Empty>>(room: &Room<State>, op: O) -> Result<(), Problem> {
    room.peers().call(op).await.map(drop)
}

fn permissions(stored: &Stored) -> Vec<CatalogueEntry> {
    let service = &stored.release.service;
    let entry = |(verb, entry): (&String, &api::manifest::PermissionEntry)| {
        let permission: Permission = format!("{service}.{verb}").parse().ok()?;
        Some(CatalogueEntry { permission, title: entry.title.clone(), level: entry.level })
    };
    stored.manifest.permissions.iter().filter_map(entry).collect()
}

async fn publish(room: &Room<State>, stored: Stored) -> Result<(), Error> {
    let mut write = room.begin().await?;
    if !store::settle(write.tx(), &stored, ReleasePhase::Published, None).await? {
        return Ok(());
    }
    let Stored { release, manifest, .. } = stored;
    let (service, digest) = (release.service, release.digest);
    store::set_current(write.tx(), &service, &digest).await?;
    store::put_release_told(write.tx(), digest.as_str()).await?;
    write.put(&ServiceRelease { service, digest, manifest }).await?;
    write.commit().await?;
    room.state().planning.something_changed();
    Ok(())
}

/// Answers whether it is so: a release that was published again meanwhile has another turn.
async fn settle(
    room: &Room<State>,
    stored: &Stored,
    phase: ReleasePhase,
    problem: Option<&str>,
) -> Result<bool, Error> {
    let mut write = room.begin().await?;
    let settled = store::settle(write.tx(), stored, phase, problem).await?;
    write.commit().await?;
    Ok(settled)
}
