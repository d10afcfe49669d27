//! Rollouts: a release becomes the current one, and instances move to it.
//!
//! A promotion is written down before anybody is told. There is at most one rollout of a service at
//! a time; the way back from it is the promotion of the release before.

use api::releases::{
    Did, GetRollout, ListMoves, ListRollouts, Move, MoveCounts, MoveState, PromoteRelease,
    ReleasePhase, ReleaseState, Rollout, RolloutRecord, RolloutState, Steer, SteerRollout,
};
use chassis::{Call, Room, Write};
use types::{Name, Page};

use crate::{
    Error, State, announce, keys,
    known::Unready,
    records::{Promotion, note},
    store,
};

pub(crate) async fn promote_release(cx: Call<State>, op: PromoteRelease) -> Result<Rollout, Error> {
    if let Some(fault) = op.plan.fault() {
        return Err(Error::Plan(fault));
    }
    let stored = store::release(cx.db(), &op.service, &op.release).await?;
    let stored = stored.ok_or(Error::NoRelease)?;
    match stored.release.phase {
        ReleasePhase::Announcing => return Err(Error::Announcing),
        ReleasePhase::Failed => {
            return Err(Error::FailedRelease(stored.release.problem.unwrap_or_default()));
        }
        ReleasePhase::Staged => {}
    }
    let promotion = Promotion::with(&cx, &stored, op.accept_loss).await?;
    let held = cx.state().turns.of(&op.release).lock_owned().await;
    let mut write = cx.begin().await?;
    store::lock_service(write.tx(), &op.service).await?;
    if store::packages_of(write.tx(), [&op.release]).await?.is_empty() {
        return Err(Error::Collected);
    }
    if !keys::is_trusted(write.tx(), &op.service, &op.release).await? {
        return Err(Error::KeyTakenBack);
    }
    let current = store::current_of(write.tx(), &op.service).await?.map(|(current, _)| current);
    if current.as_ref() == Some(&op.release) {
        return Err(Error::IsCurrent);
    }
    if let (Some(replaces), Some(current)) = (&op.replaces, &current)
        && replaces != current
    {
        return Err(Error::OtherCurrent(current.clone()));
    }
    // What was compared is not what would be replaced.
    if promotion.from != current {
        return Err(current.map_or(Error::Announcing, Error::OtherCurrent));
    }
    begin_alone(&cx, &mut write, &op).await?;
    let is_later = op.plan.at.is_some_and(|at| at > write.now());
    let state = if is_later { RolloutState::Scheduled } else { RolloutState::Announcing };
    let rollout = Rollout {
        number: store::next_rollout(write.tx(), &op.service).await?,
        service: op.service,
        from: current,
        to: op.release,
        plan: op.plan,
        state,
        problem: None,
        by: Some(write.caller.principal.clone()),
        begun: write.now(),
        ended: None,
        counts: MoveCounts::default(),
    };
    store::insert_rollout(write.tx(), &rollout).await?;
    promotion.keep(&mut write, &rollout.service, rollout.number).await?;
    write.commit().await?;
    drop(held);
    // The reconciler would do it too; done here, whoever promotes is told how it went.
    if let Err(problem) = announce::step(cx.room().clone()).await {
        tracing::warn!(%problem, "the rollout will go on");
    }
    shown(&cx, &rollout.service, rollout.number).await
}

/// Nothing else of the service is under way: what leads back from a rollout ends that, and for anything
/// else nodes must be ready.
async fn begin_alone(
    cx: &Call<State>,
    write: &mut Write<State>,
    op: &PromoteRelease,
) -> Result<(), Error> {
    let under_way = store::rollout_under_way(write.tx(), &op.service).await?;
    if let Some(rollout) = under_way {
        let is_way_back = rollout.from.as_ref() == Some(&op.release);
        let has_begun = matches!(rollout.state, RolloutState::Moving | RolloutState::Paused);
        if !is_way_back || !has_begun {
            return Err(Error::UnderWay(rollout.to));
        }
        store::end_rollout(write.tx(), &rollout, RolloutState::RolledBack, cx.now()).await?;
        return note(write, &op.service, rollout.number, Did::RolledBack).await;
    }
    if cx.state().planning.is_any_moving(&op.service)? {
        return Err(Error::TurningBack);
    }
    let unready = cx.state().nodes.unready(cx.now(), &op.release);
    let unready: Vec<Unready> =
        unready.into_iter().filter(|node| !op.without.contains(&node.node)).collect();
    if !unready.is_empty() {
        return Err(Error::NotReady(unready.iter().map(sentence).collect()));
    }
    Ok(())
}

/// A rollout with how many instances are where on their way.
async fn shown(cx: &Call<State>, service: &Name, number: u64) -> Result<Rollout, Error> {
    let stored = store::rollout(cx.db(), service, number).await?.ok_or(Error::NoRollout)?;
    counted(cx, vec![stored.rollout]).await?.pop().ok_or(Error::NoRollout)
}

pub(crate) async fn get_rollout(cx: Call<State>, op: GetRollout) -> Result<RolloutRecord, Error> {
    let which = (&op.service, op.number);
    let rollout = shown(&cx, &op.service, op.number).await?;
    let store::Agreed { preview, accepts_loss, is_way_back } =
        store::agreed(cx.db(), which).await?;
    let acts = store::acts(cx.db(), which).await?;
    Ok(RolloutRecord { rollout, accepted_loss: accepts_loss, is_way_back, preview, acts })
}

pub(crate) async fn steer_rollout(cx: Call<State>, op: SteerRollout) -> Result<Rollout, Error> {
    let mut write = cx.begin().await?;
    let stored = store::rollout(write.tx(), &op.service, op.number).await?;
    let rollout = stored.ok_or(Error::NoRollout)?.rollout;
    let now = write.now();
    match (op.steer, rollout.state) {
        (_, state) if state.has_ended() => return Err(Error::RolloutEnded),
        (_, RolloutState::Announcing) => return Err(Error::Announcing),
        (Steer::Cancel, _) => {
            let starting = (MoveState::Starting, MoveState::Waiting);
            store::reset_moves(write.tx(), &rollout, starting, now).await?;
            store::end_rollout(write.tx(), &rollout, RolloutState::Cancelled, now).await?;
            note(&mut write, &op.service, op.number, Did::Cancelled).await?;
        }
        (_, RolloutState::Scheduled) => return Err(Error::NotBegun),
        (Steer::Pause, RolloutState::Moving) => {
            let why = Some("somebody has paused it");
            store::set_rollout(write.tx(), &rollout, RolloutState::Paused, why).await?;
            note(&mut write, &op.service, op.number, Did::Paused).await?;
        }
        (Steer::Resume, RolloutState::Paused) => {
            let failed = (MoveState::Failed, MoveState::Waiting);
            store::reset_moves(write.tx(), &rollout, failed, now).await?;
            store::set_rollout(write.tx(), &rollout, RolloutState::Moving, None).await?;
            note(&mut write, &op.service, op.number, Did::Resumed).await?;
        }
        // Done twice, it is done.
        _ => {}
    }
    write.commit().await?;
    cx.state().planning.something_changed();
    shown(&cx, &op.service, op.number).await
}

pub(crate) async fn list_moves(cx: Call<State>, op: ListMoves) -> Result<Page<Move>, Error> {
    let cursor = op.cursor();
    let number = match op.number {
        Some(number) => Some(number),
        None => store::last_rollout(cx.db(), &op.service).await?.map(|last| last.number),
    };
    let Some(number) = number else { return Ok(Page { items: Vec::new(), next: None }) };
    let moves = store::moves(cx.db(), (&op.service, number), &cursor).await?;
    Ok(Page::cut(moves, &cursor, store::place_of))
}

fn sentence(unready: &Unready) -> String {
    let Unready { name, state, log, .. } = unready;
    match state {
        None => format!("node `{name}` does not have it"),
        Some(ReleaseState::Fetching) => format!("node `{name}` fetches it"),
        Some(ReleaseState::Building) => format!("node `{name}` builds it"),
        Some(ReleaseState::Failed) => {
            let why = log.trim().lines().last().unwrap_or_default();
            format!("node `{name}` cannot have it: {why}")
        }
        Some(ReleaseState::Ready) => format!("node `{name}` has it"),
    }
}

pub(crate) async fn list_rollouts(
    cx: Call<State>,
    op: ListRollouts,
) -> Result<Page<Rollout>, Error> {
    let cursor = op.cursor();
    let rollouts = store::rollouts(cx.db(), &op.service, &cursor).await?;
    let page = Page::cut(rollouts, &cursor, |rollout| rollout.number.to_string());
    Ok(Page { items: counted(&cx, page.items).await?, next: page.next })
}

/// Rollouts of one service, with how many instances are where on their way.
async fn counted(room: &Room<State>, mut rollouts: Vec<Rollout>) -> Result<Vec<Rollout>, Error> {
    let mut counts = store::count_moves(room.db(), &rollouts).await?;
    for rollout in &mut rollouts {
        rollout.counts = counts.remove(&rollout.number).unwrap_or_default();
    }
    Ok(rollouts)
}
