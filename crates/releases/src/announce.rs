//! Asking everybody about a release, and telling everybody that it is the current one.
//!
//! First each peer is asked: it checks its part and keeps it, or refuses. If one refuses, the others
//! forget theirs, and nothing has changed. Once all have agreed, that is written down, and the
//! release is staged. A rollout begins with telling each to promote what it kept, which nobody
//! refuses. Every step may be repeated, so a crash anywhere is only a pause.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use api::{
    Operation, Problem,
    access::{CatalogueEntry, DropCatalogue, PromoteCatalogue, PutCatalogue},
    billing::{DropPrices, PromotePrices, PutReleasePrices, Words},
    configurator::{DropService, PromoteService, PutService},
    jobs::{DropJobs, PromoteJobs, PutJobs},
    provider::{DropOffer, PromoteOffer, PutOffer},
    releases::{MoveCounts, ReleasePhase, Rollout, RolloutPlan, RolloutState, ServiceRelease},
};
use chassis::{Next, Room};
use types::{Name, Permission};

use crate::{
    Error, State, keys,
    store::{self, Stored, StoredRollout},
};

/// Sees through what is not settled, in the order of turns, and then what is to be current. A
/// service that cannot go on holds up no other.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let _turn = room.state().announcing.lock().await;
    let mut unreached: BTreeMap<Name, Error> = BTreeMap::new();
    for stored in store::unsettled(room.db()).await? {
        let service = stored.release.service.clone();
        if unreached.contains_key(&service) {
            continue;
        }
        if let Err(problem) = settle_one(&room, stored).await {
            unreached.insert(service, problem);
        }
    }
    let mut next = Next::Idle;
    for StoredRollout { rollout, .. } in store::rollouts_under_way(room.db()).await? {
        let service = rollout.service.clone();
        match (rollout.state, rollout.plan.at) {
            _ if unreached.contains_key(&service) => continue,
            (RolloutState::Scheduled, Some(at)) if at > room.now() => {
                next = sooner(next, at.since(room.now()));
                continue;
            }
            (RolloutState::Announcing | RolloutState::Scheduled, _) => {}
            _ => continue,
        }
        if let Err(problem) = make_current(&room, rollout).await {
            unreached.insert(service, problem);
        }
    }
    unreached.into_values().next().map_or(Ok(next), Err)
}

fn sooner(next: Next, after: Duration) -> Next {
    match next {
        Next::In(before) => Next::In(before.min(after)),
        _ => Next::In(after),
    }
}

/// Tells everybody once after the start what is current: whoever has lost their database since, or
/// been given an older one, has it again. Whoever knows it hears nothing new.
pub(crate) async fn remind(room: Room<State>) -> Result<Next, Error> {
    let _turn = room.state().announcing.lock().await;
    if room.state().reminded.load(Ordering::Acquire) {
        return Ok(Next::Idle);
    }
    let mut failed = None;
    for (stored, turn) in store::current_releases(room.db()).await? {
        match promote(&room, &stored, turn).await {
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

/// Asks everybody about a release. Of one that is current everybody is told that again: whoever
/// missed it has it now.
async fn settle_one(room: &Room<State>, stored: Stored) -> Result<(), Error> {
    let service = &stored.release.service;
    let known = store::current_of(room.db(), service).await?;
    let turn = known.filter(|(digest, _)| *digest == stored.release.digest).map(|(_, turn)| turn);
    let agreed = async {
        ask_everybody(room, &stored).await?;
        match turn {
            Some(turn) => promote(room, &stored, turn).await,
            None => Ok(()),
        }
    };
    match agreed.await {
        Ok(()) => stage(room, &stored).await,
        Err(problem) if problem.is_transient() => Err(problem.into()),
        Err(refusal) => {
            // What is current stays so: it is what everybody has.
            if turn.is_none() {
                withdraw(room, &stored).await?;
            }
            settle(room, &stored, ReleasePhase::Failed, Some(&refusal.detail)).await?;
            Ok(())
        }
    }
}

/// The first release of a service replaces nothing, so that it is current is not waited for.
async fn stage(room: &Room<State>, stored: &Stored) -> Result<(), Error> {
    let service = &stored.release.service;
    let mut write = room.begin().await?;
    store::lock_service(write.tx(), service).await?;
    // If not, it was published again meanwhile, and has another turn.
    if !store::settle(write.tx(), stored, ReleasePhase::Staged, None).await? {
        return Ok(());
    }
    let is_first = store::current_of(write.tx(), service).await?.is_none()
        && store::rollout_under_way(write.tx(), service).await?.is_none()
        && keys::is_trusted(write.tx(), service, &stored.release.digest).await?;
    if is_first {
        let rollout = Rollout {
            service: service.clone(),
            number: store::next_rollout(write.tx(), service).await?,
            from: None,
            to: stored.release.digest.clone(),
            plan: RolloutPlan::default(),
            state: RolloutState::Announcing,
            problem: None,
            by: None,
            begun: write.now(),
            ended: None,
            counts: MoveCounts::default(),
        };
        store::insert_rollout(write.tx(), &rollout).await?;
    }
    write.commit().await?;
    room.state().planning.something_changed();
    Ok(())
}

/// Tells everybody that a rollout's release is the current one.
async fn make_current(room: &Room<State>, rollout: Rollout) -> Result<(), Error> {
    let stored = store::release(room.db(), &rollout.service, &rollout.to).await?;
    let stored = stored.ok_or(Error::NoRelease)?;
    match promote(room, &stored, rollout.number).await {
        Ok(()) => begin_to_move(room, &rollout, stored).await,
        Err(problem) if problem.is_transient() => Err(problem.into()),
        Err(problem) if stored.release.phase == ReleasePhase::Failed => {
            turn_back(room, &rollout).await?;
            Err(problem.into())
        }
        Err(problem) => {
            // Only a peer that has lost what it kept, with its database, does not know it.
            tracing::error!(%problem, "a promotion was refused; everybody is asked again");
            settle(room, &stored, ReleasePhase::Announcing, None).await?;
            Err(problem.into())
        }
    }
}

async fn begin_to_move(room: &Room<State>, rollout: &Rollout, stored: Stored) -> Result<(), Error> {
    let mut write = room.begin().await?;
    let Stored { release, manifest, .. } = stored;
    let (service, digest) = (release.service, release.digest);
    store::set_current(write.tx(), &service, &digest, rollout.number).await?;
    store::set_rollout(write.tx(), rollout, RolloutState::Moving, None).await?;
    store::put_release_told(write.tx(), digest.as_str()).await?;
    write.put(&ServiceRelease { service, digest, manifest }).await?;
    write.commit().await?;
    room.state().planning.something_changed();
    Ok(())
}

/// What somebody lost, and would not have any more, cannot be current: the release before is again,
/// also with those who had been told otherwise.
async fn turn_back(room: &Room<State>, rollout: &Rollout) -> Result<(), Error> {
    let mut write = room.begin().await?;
    let now = write.now();
    store::end_rollout(write.tx(), rollout, RolloutState::RolledBack, now).await?;
    if let Some(former) = rollout.from.clone() {
        let number = store::next_rollout(write.tx(), &rollout.service).await?;
        let from = Some(former.clone());
        let (plan, state) = (RolloutPlan::default(), RolloutState::Announcing);
        let back = Rollout { number, from, to: former, plan, state, begun: now, ..rollout.clone() };
        store::insert_rollout(write.tx(), &back).await?;
    }
    Ok(write.commit().await?)
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
async fn promote(room: &Room<State>, stored: &Stored, turn: u64) -> Result<(), Problem> {
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
