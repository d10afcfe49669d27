//! Moving instances to the current release of their service, as the rollout of it says. Until what
//! serves one there is healthy, it is served as before.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::{
    configurator::{MoveInstances, Moves, TurnBack},
    releases::{Move, MoveState, Rollout, RolloutPlan, RolloutState},
};
use chassis::{Next, Room};
use types::{Digest, InstanceId, Name, Timestamp};

use crate::{
    Error, State,
    planning::{self, Plan},
    rollout::{Decision, Seen, Standing, Starting, decide, waves},
    serving::Serving,
    store::{self, StoredRollout},
};

/// So many are moved by one request.
const AT_ONCE: usize = 500;
/// How long it takes at most until something is looked at that nobody told of.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Has rollouts go on.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let Some(plan) = planning::plan_if_known(&room).await? else { return Ok(Next::Idle) };
    let mut under_way = store::rollouts_under_way(room.db()).await?;
    turn_back(&room, &plan, &under_way).await?;
    under_way.retain(|it| matches!(it.rollout.state, RolloutState::Moving | RolloutState::Paused));
    if under_way.is_empty() && plan.idle.is_empty() {
        return Ok(if plan.moving.is_empty() { Next::Idle } else { Next::In(LOOK_AGAIN) });
    }
    let told = room.state().told.lock().await.clone();
    if !told.is_some_and(|told| Arc::ptr_eq(&told, &plan.releases)) {
        return Ok(Next::Soon);
    }
    move_what_runs_nothing(&room, &plan).await?;
    let serving = Serving::new(&room, &plan);
    let mut is_changed = false;
    for stored in &under_way {
        if plan.releases.is_current(&stored.rollout.service, &stored.rollout.to) {
            is_changed |= go_on(&room, (&plan, &serving), stored).await?;
        }
    }
    Ok(if is_changed { Next::Soon } else { Next::In(LOOK_AGAIN) })
}

/// Instances that are on their way by a rollout that was given up turn back, if they can. Any other one
/// of their service, also one that is still being announced, moves them on or back.
async fn turn_back(
    room: &Room<State>,
    plan: &Plan,
    under_way: &[StoredRollout],
) -> Result<(), Error> {
    let mut stray: BTreeMap<Name, Vec<InstanceId>> = BTreeMap::new();
    for instance in &plan.moving {
        let Some(route) = room.state().planning.route(*instance)? else { continue };
        if under_way.iter().all(|it| it.rollout.service != route.service) {
            stray.entry(route.service.clone()).or_default().push(*instance);
        }
    }
    for (service, instances) in stray {
        for some in instances.chunks(AT_ONCE) {
            let (service, instances) = (service.clone(), some.iter().copied().collect());
            room.peers().call(TurnBack { service, instances }).await?;
        }
    }
    Ok(())
}

/// What is not set up yet, and runs nothing, is on the current release at once.
async fn move_what_runs_nothing(room: &Room<State>, plan: &Plan) -> Result<(), Error> {
    let mut all: BTreeMap<(Name, Digest), Vec<InstanceId>> = BTreeMap::new();
    for instance in &plan.idle {
        let Some(route) = room.state().planning.route(*instance)? else { continue };
        let Some(next) = crate::plan::next(&plan.releases, &route) else { continue };
        let of = (route.service.clone(), next.release.digest.clone());
        all.entry(of).or_default().push(*instance);
    }
    if !all.is_empty() {
        room.copies_have_all().await?;
    }
    for ((service, release), instances) in all {
        let now = room.now();
        let instances: Vec<_> = instances.into_iter().map(|instance| (instance, now)).collect();
        // What has no processes has no jobs that anything could happen to.
        move_all(room, (&service, &release), &RolloutPlan::default(), &instances).await?;
    }
    Ok(())
}

/// Has instances move that were to since these moments. Answers how those are that have not.
async fn move_all(
    room: &Room<State>,
    (service, release): (&Name, &Digest),
    plan: &RolloutPlan,
    instances: &[(InstanceId, Timestamp)],
) -> Result<Moves, Error> {
    let mut all = Moves::default();
    for instances in instances.chunks(AT_ONCE) {
        let (service, release) = (service.clone(), release.clone());
        let instances = instances.iter().copied().collect();
        let RolloutPlan { workers, without_snapshot, .. } = *plan;
        let wanted = MoveInstances { service, release, instances, workers, without_snapshot };
        let moves = room.peers().call(wanted).await?;
        all.moving.extend(moves.moving);
        all.failed.extend(moves.failed);
    }
    Ok(all)
}

/// Takes a rollout's next steps; answers whether anything has changed.
async fn go_on(
    room: &Room<State>,
    (plan, serving): (&Plan, &Serving<'_>),
    stored: &StoredRollout,
) -> Result<bool, Error> {
    let StoredRollout { rollout, assigned, passed } = stored;
    if !assigned {
        let all = of_service(room, rollout, &plan.behind)?.into_iter().collect();
        let mut write = room.begin().await?;
        let now = write.now();
        store::assign(write.tx(), rollout, &waves(&rollout.plan, &all), now).await?;
        write.commit().await?;
        return Ok(true);
    }
    let begun = store::moves_in(room.db(), rollout, MoveState::Starting, u32::MAX).await?;
    // What is on its way already is told of when it is there: to ask for all of them whenever one is
    // would take as long as there are instances, as often as there are instances.
    let moving: HashSet<_> = of_service(room, rollout, &plan.moving)?.into_iter().collect();
    let rest = begun.iter().map(|one| one.instance).filter(|it| !moving.contains(it));
    let mut seen = serving.of(rest).await?;
    seen.extend(moving.iter().map(|instance| (*instance, Seen::Moves)));
    move_those_served(room, rollout, &begun, &mut seen).await?;
    let starting = begun.iter().map(|one| Starting {
        instance: one.instance,
        wave: one.wave,
        since: one.since,
        seen: seen.remove(&one.instance).unwrap_or(Seen::Starts),
    });
    // Those that are to stay for a while wait for that to be over, and hold up no other.
    let frozen = frozen(room, plan, rollout)?;
    let one = (1, &*frozen);
    let waiting = store::moves_in_but(room.db(), rollout, MoveState::Waiting, one).await?;
    let standing = Standing {
        starting: starting.collect(),
        waiting_in: waiting.first().map(|one| one.wave),
        failed: store::failures(room.db(), rollout).await?,
        passed: *passed,
        is_paused: rollout.state == RolloutState::Paused,
    };
    let (moved, failed, decision) = decide(&rollout.plan, &standing, room.now());
    // What a former release sets up is moved when that is done.
    let is_over = of_service(room, rollout, &plan.setting_up)?.is_empty()
        && moving.is_empty()
        && !waits(room, rollout, &frozen).await?;
    let decision = decision.filter(|decision| *decision != Decision::End || is_over);
    if moved.is_empty() && failed.is_empty() && decision.is_none() {
        return Ok(false);
    }
    let late = match decision {
        Some(Decision::End) => late(room, plan, rollout).await?,
        _ => Vec::new(),
    };
    let what = What { moved: &moved, failed: &failed, late: &late, frozen: &frozen };
    write_down(room, rollout, decision, what).await?;
    room.state().planning.something_changed();
    Ok(true)
}

/// Has those move that the release is seen to serve. They are seen to have moved when they have, and
/// not before their databases were migrated.
async fn move_those_served(
    room: &Room<State>,
    rollout: &Rollout,
    begun: &[Move],
    seen: &mut HashMap<InstanceId, Seen>,
) -> Result<(), Error> {
    let served = begun.iter().filter(|one| seen.get(&one.instance) == Some(&Seen::Serves));
    let served: Vec<_> = served.map(|one| (one.instance, one.since)).collect();
    if served.is_empty() {
        return Ok(());
    }
    // The gateways know of the release and of what serves there before they lead there.
    room.copies_have_all().await?;
    let to = (&rollout.service, &rollout.to);
    let moves = move_all(room, to, &rollout.plan, &served).await?;
    seen.extend(moves.moving.into_iter().map(|instance| (instance, Seen::Moves)));
    seen.extend(moves.failed.into_iter().map(|(instance, why)| (instance, Seen::Fails(why))));
    Ok(())
}

/// What has come since instances had their waves, as an order that was placed just before.
async fn late(
    room: &Room<State>,
    plan: &Plan,
    rollout: &Rollout,
) -> Result<Vec<InstanceId>, Error> {
    let behind = of_service(room, rollout, &plan.behind)?;
    let known = store::known_moves(room.db(), rollout, &behind).await?;
    Ok(behind.into_iter().filter(|instance| !known.contains(instance)).collect())
}

/// Those of these instances that are of the rollout's service.
fn of_service(
    room: &Room<State>,
    rollout: &Rollout,
    instances: &[InstanceId],
) -> Result<Vec<InstanceId>, Error> {
    let mut of_service = Vec::new();
    for instance in instances {
        let route = room.state().planning.route(*instance)?;
        of_service.extend(route.filter(|it| it.service == rollout.service).map(|it| it.instance));
    }
    Ok(of_service)
}

/// Those of a rollout that are behind and to stay where they are for a while.
fn frozen(room: &Room<State>, plan: &Plan, rollout: &Rollout) -> Result<Vec<InstanceId>, Error> {
    let (now, mut frozen) = (room.now(), Vec::new());
    for instance in &plan.behind {
        let route = room.state().planning.route(*instance)?;
        let stays = route.filter(|it| it.service == rollout.service);
        let stays = stays.filter(|it| it.frozen_until.is_some_and(|until| until > now));
        frozen.extend(stays.map(|it| it.instance));
    }
    Ok(frozen)
}

/// Whether some of these wait for their turn.
async fn waits(
    room: &Room<State>,
    rollout: &Rollout,
    frozen: &[InstanceId],
) -> Result<bool, Error> {
    if frozen.is_empty() {
        return Ok(false);
    }
    Ok(!store::moves_in(room.db(), rollout, MoveState::Waiting, 1).await?.is_empty())
}

/// What has come of looking after a rollout.
struct What<'w> {
    moved: &'w [InstanceId],
    failed: &'w [(InstanceId, String)],
    late: &'w [InstanceId],
    frozen: &'w [InstanceId],
}

async fn write_down(
    room: &Room<State>,
    rollout: &Rollout,
    decision: Option<Decision>,
    What { moved, failed, late, frozen }: What<'_>,
) -> Result<(), Error> {
    let mut write = room.begin().await?;
    let now = write.now();
    // Somebody may have paused it or given it up meanwhile; who has moved has moved.
    let current = store::rollout(write.tx(), &rollout.service, rollout.number).await?;
    let is_same = current.is_some_and(|current| current.rollout.state == rollout.state);
    let decision = decision.filter(|_| is_same);
    let moved: Vec<_> = moved.iter().map(|instance| (*instance, None)).collect();
    store::set_moves(write.tx(), rollout, (MoveState::Moved, now), &moved).await?;
    let failed: Vec<_> = failed.iter().map(|(it, why)| (*it, Some(why.as_str()))).collect();
    store::set_moves(write.tx(), rollout, (MoveState::Failed, now), &failed).await?;
    match decision {
        None => {}
        Some(Decision::Start { wave, count }) => {
            let but = (count, frozen);
            let some = store::moves_in_but(write.tx(), rollout, MoveState::Waiting, but).await?;
            let of_wave = |one: &Move| (one.wave == wave).then_some((one.instance, None));
            let some: Vec<_> = some.iter().filter_map(of_wave).collect();
            store::set_moves(write.tx(), rollout, (MoveState::Starting, now), &some).await?;
        }
        Some(Decision::Pause(why)) => {
            let state = RolloutState::Paused;
            store::set_rollout(write.tx(), rollout, state, Some(&why)).await?;
        }
        Some(Decision::PauseAfter(wave)) => {
            let (state, why) = (RolloutState::Paused, format!("wave {wave} is done, as planned"));
            store::set_rollout(write.tx(), rollout, state, Some(&why)).await?;
            store::set_passed(write.tx(), rollout, wave).await?;
        }
        Some(Decision::End) if !late.is_empty() => {
            let wave = store::last_wave(write.tx(), rollout).await?.max(1);
            let last: Vec<_> = late.iter().map(|instance| (*instance, Some(wave))).collect();
            store::assign(write.tx(), rollout, &last, now).await?;
        }
        Some(Decision::End) => {
            store::end_rollout(write.tx(), rollout, RolloutState::Done, now).await?;
        }
    }
    Ok(write.commit().await?)
}
