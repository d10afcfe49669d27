//! Which release each instance is on. `releases` decides when one moves to another; it moves here, at
//! once or together with its database.

mod drive;
mod enter;
mod former;
mod quiet;
mod steps;
mod wakes;

use api::{
    Empty,
    configurator::{
        ClosedTime, GetClosedTime, InstanceState, LastMove, MoveInstances, Moves, TurnBack,
    },
    jobs::{Strategy, Workers},
    manifest::Manifest,
};
use chassis::{Call, Room, Write};
use types::{Digest, InstanceId, Timestamp};

use crate::{
    Error, State,
    manifests::manifest,
    model::{
        instance::{asks_itself, route},
        moves::{Needs, Snapshot, Step, Way, way},
    },
    store::{self, Move, Stored},
};

pub(crate) use drive::go_on;
pub(crate) use former::remove_former;
pub(crate) use quiet::{Quiet, put_quiet};
pub(crate) use wakes::Wakes;

const AT_ONCE: usize = 500;

pub(crate) async fn move_instances(
    cx: &mut Write<State>,
    op: MoveInstances,
) -> Result<Moves, Error> {
    if op.instances.len() > AT_ONCE {
        return Err(Error::TooManyMoves);
    }
    let next = manifest(cx.tx(), &op.service, &op.release).await?;
    let (mut moves, mut at_once) = (Moves::default(), Vec::new());
    for known in store::instances_among(cx.tx(), op.instances.keys().copied()).await? {
        let since = op.instances.get(&known.instance).filter(|_| known.service == op.service);
        let Some(since) = since else { continue };
        let (instance, how) = (known.instance, (&next, op.workers, op.without_snapshot));
        match move_one(cx, &known, (&op.release, *since), how).await? {
            Stands::There => {}
            Stands::MovesAtOnce => at_once.push(known),
            Stands::Moves => drop(moves.moving.insert(instance)),
            Stands::Failed(why) => drop(moves.failed.insert(instance, why)),
        }
    }
    put_on(cx, &op.release, at_once).await?;
    cx.then(|state| state.wakes.more.notify_one());
    cx.wait_for_copies();
    Ok(moves)
}

/// How far an instance is on its way.
enum Stands {
    There,
    /// There is nothing to be done but to say so.
    MovesAtOnce,
    Moves,
    Failed(String),
}

async fn move_one(
    cx: &mut Write<State>,
    known: &Stored,
    (to, since): (&Digest, Timestamp),
    (next, workers, without_snapshot): (&Manifest, Workers, bool),
) -> Result<Stands, Error> {
    // A set-up is begun anew by another release, or goes on by its own.
    let is_busy = known.state == InstanceState::SettingUp || known.moving.is_some();
    if known.release == *to && known.moving.is_none() {
        return Ok(Stands::There);
    }
    let stays = known.frozen_until.is_some_and(|until| until > cx.now());
    if is_busy || stays {
        return Ok(Stands::Moves);
    }
    let is_set_up = known.state == InstanceState::Open || asks_itself(known);
    let way = if is_set_up { way(known.schema, next) } else { Way::AtOnce };
    let needs = match way {
        Way::None => {
            let why = format!(
                "its database has the shape {}, which release {} cannot read: that reads {}. \
                 It stays as it is until a release is promoted that reads it",
                known.schema.0,
                to.short(),
                next.schema()
            );
            // Its customer is told why, as of any other move.
            let begun = begun(known, Needs::beside(workers), (to, since), cx.now());
            let (step, ended) = (Step::Failed, Some(begun.began));
            let it = Move { step, ended, problem: Some(why.clone()), ..begun };
            store::put_move(cx.tx(), &it).await?;
            return Ok(Stands::Failed(why));
        }
        Way::Migrate => {
            let former = manifest(cx.tx(), &known.service, &known.release).await?;
            let needs = Needs::of(known.schema.0, &former, next, workers);
            let may_do_without =
                if without_snapshot { Snapshot::UnlessTooLarge } else { Snapshot::Made };
            Needs { snapshot: may_do_without, ..needs }
        }
        // There is something to be done about its jobs.
        Way::AtOnce if is_set_up && workers.strategy != Strategy::Versioned => {
            Needs::beside(workers)
        }
        Way::AtOnce => return Ok(Stands::MovesAtOnce),
    };
    let last = store::last_move(cx.tx(), known.instance).await?;
    if let Some(last) = last.filter(|last| last.to == *to && last.since == since)
        && last.step == Step::Failed
    {
        return Ok(Stands::Failed(last.problem.unwrap_or_default()));
    }
    begin(cx, known, needs, (to, since)).await?;
    Ok(Stands::Moves)
}

/// They are on it from now on.
async fn put_on(
    cx: &mut Write<State>,
    release: &Digest,
    instances: Vec<Stored>,
) -> Result<(), Error> {
    if instances.is_empty() {
        return Ok(());
    }
    store::set_release(cx.tx(), instances.iter().map(|known| known.instance), release).await?;
    for known in instances {
        cx.put(&route(&Stored { release: release.clone(), ..known })).await?;
    }
    Ok(())
}

/// It is on its way from now on. Each way has a copy's number of its own, so what is left of one that
/// failed is never taken for this one's.
async fn begin(
    cx: &mut Write<State>,
    known: &Stored,
    needs: Needs,
    (to, since): (&Digest, Timestamp),
) -> Result<(), Error> {
    let copies = known.copy.1 + u32::from(needs.closes);
    let it = begun(known, needs, (to, since), cx.now());
    let moving = Some(enter::on_its_way(&it));
    let known = Stored { copy: (known.copy.0, copies), moving, ..known.clone() };
    store::put_move(cx.tx(), &it).await?;
    store::update_instance(cx.tx(), &known).await?;
    cx.put(&route(&known)).await?;
    Ok(())
}

/// A move at its beginning.
fn begun(known: &Stored, needs: Needs, (to, since): (&Digest, Timestamp), now: Timestamp) -> Move {
    let copy = if needs.closes { known.copy.1 + 1 } else { known.copy.0 };
    Move {
        instance: known.instance,
        from: known.release.clone(),
        to: to.clone(),
        since,
        needs,
        step: Step::Waiting,
        entered: now,
        copy,
        job: None,
        job_state: None,
        job_lost: false,
        lost: 0,
        problem: None,
        began: now,
        held: None,
        ended: None,
        turned: false,
    }
}

/// What can be turned back is, when it is looked at next.
pub(crate) async fn turn_back(cx: &mut Write<State>, op: TurnBack) -> Result<Empty, Error> {
    if op.instances.len() > AT_ONCE {
        return Err(Error::TooManyMoves);
    }
    store::turn_back(cx.tx(), &op.service, op.instances).await?;
    cx.then(|state| state.wakes.wake_all());
    Ok(Empty {})
}

/// How an instance's last move went, for people.
pub(crate) async fn shown(
    on: impl db::On,
    instance: InstanceId,
    now: Timestamp,
) -> Result<Option<LastMove>, Error> {
    let last = store::last_move(on, instance).await?;
    Ok(last.map(|it| {
        let hold = u64::from(api::configurator::HOLD_SECONDS) * 1_000;
        let shut = it.held.map(|held| it.ended.unwrap_or(now).since(held).as_millis());
        let shut = u64::try_from(shut.unwrap_or_default()).unwrap_or(u64::MAX);
        LastMove {
            from: it.from,
            to: it.to,
            began: it.began,
            ended: it.ended,
            held_millis: shut.min(hold),
            closed_millis: shut.saturating_sub(hold),
            problem: it.problem.filter(|_| it.step == Step::Failed),
        }
    }))
}

/// So many of the last moves are looked at.
const LAST_MOVES: u32 = 20;

pub(crate) async fn get_closed_time(
    cx: Call<State>,
    op: GetClosedTime,
) -> Result<ClosedTime, Error> {
    let longest = store::longest_closed(cx.db(), &op.service, LAST_MOVES).await?;
    Ok(ClosedTime { longest_millis: longest.map(|micros| micros / 1_000) })
}

/// What was there before it was written down which release it is on, is on the current one.
pub(crate) async fn put_on_releases(room: Room<State>) -> Result<(), Error> {
    let most = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
    loop {
        let some = store::instances_on_none(room.db(), most).await?;
        if some.is_empty() {
            return Ok(());
        }
        let mut write = room.begin().await?;
        for (instance, release) in some {
            // It can be read from then on.
            store::set_release(write.tx(), [instance], &release).await?;
            if let Some(known) = store::instance(write.tx(), instance).await? {
                write.put(&route(&known)).await?;
            }
        }
        write.commit().await?;
    }
}
