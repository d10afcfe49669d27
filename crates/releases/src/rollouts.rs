//! Rollouts: a release becomes the current one, and instances move to it.
//!
//! A promotion is written down before anybody is told. There is at most one rollout of a service at
//! a time; the way back from it is the promotion of the release before.

use std::sync::Arc;

use api::releases::{
    ListRollouts, PromoteRelease, ReleasePhase, ReleaseState, Rollout, RolloutState,
};
use chassis::{Call, Next, Room};
use types::{Name, Page};

use crate::{
    Error, State, announce,
    known::Unready,
    planning::{self, Plan},
    store::{self, Stored},
};

pub(crate) async fn promote_release(cx: Call<State>, op: PromoteRelease) -> Result<Rollout, Error> {
    let stored = store::release(cx.db(), &op.service, &op.release).await?;
    let stored = stored.ok_or(Error::NoRelease)?;
    match stored.release.phase {
        ReleasePhase::Announcing => return Err(Error::Announcing),
        ReleasePhase::Failed => {
            return Err(Error::FailedRelease(stored.release.problem.unwrap_or_default()));
        }
        ReleasePhase::Staged => {}
    }
    // What is done is not in the way of the next.
    step(cx.room().clone()).await?;
    let mut write = cx.begin().await?;
    store::lock_service(write.tx(), &op.service).await?;
    let current = store::current_of(write.tx(), &op.service).await?;
    if current.as_ref() == Some(&op.release) {
        return Err(Error::IsCurrent);
    }
    if let (Some(replaces), Some(current)) = (&op.replaces, &current)
        && replaces != current
    {
        return Err(Error::OtherCurrent(current.clone()));
    }
    let under_way = store::rollout_under_way(write.tx(), &op.service).await?;
    if let Some(rollout) = under_way {
        let is_way_back = rollout.from.as_ref() == Some(&op.release);
        if !is_way_back || rollout.state == RolloutState::Announcing {
            return Err(Error::UnderWay(rollout.to));
        }
        store::end_rollout(write.tx(), &rollout, RolloutState::RolledBack, cx.now()).await?;
    } else {
        let unready = cx.state().nodes.unready(cx.now(), &op.release);
        let unready: Vec<Unready> =
            unready.into_iter().filter(|node| !op.without.contains(&node.node)).collect();
        if !unready.is_empty() {
            return Err(Error::NotReady(unready.iter().map(sentence).collect()));
        }
    }
    let rollout = Rollout {
        number: store::next_rollout(write.tx(), &op.service).await?,
        service: op.service,
        from: current,
        to: op.release,
        state: RolloutState::Announcing,
        by: Some(write.caller.principal.clone()),
        begun: write.now(),
        ended: None,
        left: 0,
    };
    store::insert_rollout(write.tx(), &rollout).await?;
    write.commit().await?;
    // The reconciler would do it too; done here, whoever promotes is told how it went.
    if let Err(problem) = announce::step(cx.room().clone()).await {
        tracing::warn!(%problem, "the rollout will go on");
    }
    let now = store::rollout(cx.db(), &rollout.service, rollout.number).await?;
    Ok(counted(&cx, now.unwrap_or(rollout)).await)
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
    let mut items = Vec::with_capacity(page.items.len());
    for rollout in page.items {
        items.push(counted(&cx, rollout).await);
    }
    Ok(Page { items, next: page.next })
}

/// With how many instances are still to move.
async fn counted(room: &Room<State>, mut rollout: Rollout) -> Rollout {
    if !rollout.state.has_ended()
        && let Ok(plan) = planning::plan(room).await
    {
        rollout.left = left(room, &plan, &rollout.service);
    }
    rollout
}

fn left(room: &Room<State>, plan: &Plan, service: &Name) -> u32 {
    let route = |instance| room.state().planning.route(instance).ok().flatten();
    let moving = plan.moving.iter().filter_map(|instance| route(*instance));
    let of_service = moving.filter(|route| route.service == *service).count();
    u32::try_from(of_service).unwrap_or(u32::MAX)
}

/// A rollout is done when nobody is left to move.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let under_way = store::rollouts_under_way(room.db()).await?;
    if under_way.is_empty() {
        return Ok(Next::Idle);
    }
    let plan = match planning::plan(&room).await {
        Err(Error::Starting) => return Ok(Next::Idle),
        plan => plan?,
    };
    for rollout in under_way.iter().filter(|rollout| rollout.state == RolloutState::Moving) {
        let current = plan.releases.current_of(&rollout.service);
        let is_planned = current.is_some_and(|current| is(current, rollout));
        if is_planned && left(&room, &plan, &rollout.service) == 0 {
            let mut write = room.begin().await?;
            let now = write.now();
            store::end_rollout(write.tx(), rollout, RolloutState::Done, now).await?;
            write.commit().await?;
        }
    }
    Ok(Next::Idle)
}

fn is(current: &Arc<Stored>, rollout: &Rollout) -> bool {
    current.release.digest == rollout.to
}
