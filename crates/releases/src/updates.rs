//! What the last rollout of its service is to the customer of an instance. Why others could not be
//! moved, and what nodes and shared processes say, is for operators only.

use api::{
    configurator::{GetClosedTime, Route},
    releases::{
        GetUpdate, InstanceUpdate, Move, MoveState, Rollout, RolloutState, Update, UpdateState,
    },
};
use chassis::Call;
use types::Timestamp;

use crate::{
    Error, State, plan,
    store::{self, Stored},
};

pub(crate) async fn get_update(cx: Call<State>, op: GetUpdate) -> Result<InstanceUpdate, Error> {
    let route = cx.state().planning.route(op.instance)?;
    let route = route.filter(|route| route.account == op.account).ok_or(Error::NoInstance)?;
    let nothing = InstanceUpdate::default();
    let Some(rollout) = store::last_rollout(cx.db(), &route.service).await? else {
        return Ok(nothing);
    };
    let one = store::move_of(cx.db(), &rollout, op.instance).await?;
    let Some((state, at)) = standing(&rollout, one.as_ref(), &route) else { return Ok(nothing) };
    let mut update =
        Update { to: rollout.to.clone(), state, at, closes: false, longest_millis: None };
    let is_over = matches!(state, UpdateState::Done | UpdateState::Failed | UpdateState::Excepted);
    let next = store::release(cx.db(), &route.service, &rollout.to).await?;
    if !is_over && next.is_some_and(|next| closes(&next, &route)) {
        update.closes = true;
        let ask = GetClosedTime { service: route.service.clone() };
        match cx.peers().call(ask).await {
            Ok(time) => update.longest_millis = time.longest_millis,
            Err(problem) => {
                tracing::warn!(%problem, "an update is shown without how long it takes");
            }
        }
    }
    Ok(InstanceUpdate { update: Some(update) })
}

/// Whether its requests wait while its database is migrated.
fn closes(next: &Stored, route: &Route) -> bool {
    let is_compatible = next.manifest.database.as_ref().is_some_and(|it| it.compatible);
    plan::migrates(next, route) && route.schema > 0 && !is_compatible
}

/// How far an instance is with a rollout, and since when; nothing if that does not concern it.
fn standing(
    rollout: &Rollout,
    one: Option<&Move>,
    route: &Route,
) -> Option<(UpdateState, Timestamp)> {
    let is_there = route.release == rollout.to;
    let stays = rollout.plan.except.contains(&route.instance);
    let since = one.map_or(rollout.begun, |one| one.since);
    let state = match (rollout.state, one.map(|one| one.state)) {
        // It is seen there before that is written down.
        (_, Some(MoveState::Moved | MoveState::Starting)) if is_there => UpdateState::Done,
        _ if is_there => return None,
        (RolloutState::Scheduled | RolloutState::Announcing, _) if stays => UpdateState::Excepted,
        (RolloutState::Scheduled, _) => {
            return Some((UpdateState::Planned, rollout.plan.at.unwrap_or(rollout.begun)));
        }
        (RolloutState::Done | RolloutState::Cancelled | RolloutState::RolledBack, one) => match one
        {
            Some(MoveState::Failed) => UpdateState::Failed,
            Some(MoveState::Excepted) => UpdateState::Excepted,
            _ => return None,
        },
        (_, Some(MoveState::Failed)) => UpdateState::Failed,
        (_, Some(MoveState::Excepted)) => UpdateState::Excepted,
        (_, Some(MoveState::Moved | MoveState::Starting)) => UpdateState::Moving,
        (RolloutState::Paused, None | Some(MoveState::Waiting)) => UpdateState::Paused,
        (_, None | Some(MoveState::Waiting)) => UpdateState::Waiting,
    };
    Some((state, since))
}
