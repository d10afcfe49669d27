//! Rollouts, and how far each instance is.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use api::releases::{Move, MoveCounts, MoveState, Rollout, RolloutState};
use db::{List, On, Rows, row};
use types::{Cursor, InstanceId, Name, Principal, Timestamp};

use super::Result;

/// Of so many of a service's last rollouts it is kept how far each instance was.
const MOVES_KEPT: u64 = 10;
/// So many of a service's last rollouts are kept.
const ROLLOUTS_KEPT: u64 = 500;

/// A rollout as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRollout {
    pub(crate) rollout: Rollout,
    /// Whether its instances have their waves.
    pub(crate) assigned: bool,
    /// The wave after which it has paused already.
    pub(crate) passed: u32,
}

fn read(row: &db::Row) -> Result<StoredRollout> {
    let by: Option<String> = row.get("principal")?;
    let principal = |text: String| {
        text.parse::<Principal>().map_err(|cause| db::Error::encode("principal", cause))
    };
    let rollout = Rollout {
        service: row.get("service")?,
        number: row.get("number")?,
        from: row.get("former")?,
        to: row.get("release")?,
        plan: row.json("plan")?,
        state: row.json("state")?,
        problem: row.get("problem")?,
        by: by.map(principal).transpose()?,
        begun: row.get("begun")?,
        ended: row.get("ended")?,
        counts: MoveCounts::default(),
    };
    Ok(StoredRollout { rollout, assigned: row.get("assigned")?, passed: row.get("passed")? })
}

pub(crate) async fn insert_rollout(tx: &mut db::Tx, rollout: &Rollout) -> Result<()> {
    db::query(
        "insert into rollout (service, number, former, release, plan, state, principal, begun)
         values (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&rollout.service)
    .bind(rollout.number)
    .bind(rollout.from.as_ref())
    .bind(&rollout.to)
    .bind_json(&rollout.plan)
    .bind_json(&rollout.state)
    .bind(rollout.by.as_ref().map(ToString::to_string).as_deref())
    .bind(rollout.begun)
    .run(tx)
    .await
    .map(drop)
}

/// The number of the next one: they count up.
pub(crate) async fn next_rollout(tx: &mut db::Tx, service: &Name) -> Result<u64> {
    db::query("select coalesce(max(number), 0) + 1 as number from rollout where service = ?")
        .bind(service)
        .one(tx, |row| row.get("number"))
        .await
}

/// Locked, inside a transaction, until that ends.
pub(crate) async fn rollout(
    on: impl On,
    service: &Name,
    number: u64,
) -> Result<Option<StoredRollout>> {
    db::query("select * from rollout where service = ? and number = ? /*for update*/")
        .bind(service)
        .bind(number)
        .optional(on, read)
        .await
}

/// The last one first; the cursor is the number of the last one that was seen.
pub(crate) async fn rollouts(on: impl On, service: &Name, cursor: &Cursor) -> Result<Vec<Rollout>> {
    let before: i64 =
        cursor.after.as_deref().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
    db::query("select * from rollout where service = ? and number < ? order by number desc limit ?")
        .bind(service)
        .bind(before)
        .bind(cursor.rows())
        .all(on, |row| Ok(read(row)?.rollout))
        .await
}

pub(crate) async fn last_rollout(on: impl On, service: &Name) -> Result<Option<Rollout>> {
    let last = Cursor { after: None, limit: Some(1) };
    Ok(rollouts(on, service, &last).await?.into_iter().next())
}

pub(crate) async fn rollout_under_way(on: impl On, service: &Name) -> Result<Option<Rollout>> {
    db::query("select * from rollout where service = ? and ended is null")
        .bind(service)
        .optional(on, |row| Ok(read(row)?.rollout))
        .await
}

pub(crate) async fn rollouts_under_way(on: impl On) -> Result<Vec<StoredRollout>> {
    db::query("select * from rollout where ended is null order by service").all(on, read).await
}

/// Unless it has ended.
pub(crate) async fn set_rollout(
    tx: &mut db::Tx,
    rollout: &Rollout,
    state: RolloutState,
    problem: Option<&str>,
) -> Result<()> {
    db::query(
        "update rollout set state = ?, problem = ?
         where service = ? and number = ? and ended is null",
    )
    .bind_json(&state)
    .bind(problem)
    .bind(&rollout.service)
    .bind(rollout.number)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn set_passed(tx: &mut db::Tx, rollout: &Rollout, wave: u32) -> Result<()> {
    db::query("update rollout set passed = ? where service = ? and number = ?")
        .bind(wave)
        .bind(&rollout.service)
        .bind(rollout.number)
        .run(tx)
        .await
        .map(drop)
}

/// It has ended; what is not kept any more of earlier ones is forgotten.
pub(crate) async fn end_rollout(
    tx: &mut db::Tx,
    rollout: &Rollout,
    state: RolloutState,
    now: Timestamp,
) -> Result<()> {
    let Rollout { service, number, .. } = rollout;
    db::query(
        "update rollout set state = ?, problem = null, ended = ?
         where service = ? and number = ? and ended is null",
    )
    .bind_json(&state)
    .bind(now)
    .bind(service)
    .bind(*number)
    .run(&mut *tx)
    .await?;
    let old = [
        ("delete from move where service = ? and rollout <= ?", MOVES_KEPT),
        ("delete from rollout where service = ? and number <= ?", ROLLOUTS_KEPT),
        ("delete from agreed where service = ? and rollout <= ?", ROLLOUTS_KEPT),
        ("delete from act where service = ? and rollout <= ?", ROLLOUTS_KEPT),
    ];
    for (delete, kept) in old {
        let last = number.saturating_sub(kept);
        db::query(delete).bind(service).bind(last).run(&mut *tx).await?;
    }
    Ok(())
}

/// Instances have their waves; those without one stay.
pub(crate) async fn assign(
    tx: &mut db::Tx,
    rollout: &Rollout,
    waves: &[(InstanceId, Option<u32>)],
    now: Timestamp,
) -> Result<()> {
    let mut rows = Rows::new(&["instance", "wave", "state"]);
    for (instance, wave) in waves {
        let state = if wave.is_some() { MoveState::Waiting } else { MoveState::Excepted };
        let state = serde_json::to_string(&state).map_err(|it| db::Error::encode("state", it))?;
        rows.push(row![*instance, wave.unwrap_or(0), &state]);
    }
    if !rows.is_empty() {
        db::query(
            "insert into move (service, rollout, instance, wave, state, since)
             select ?, ?, instance, wave, state, ? from {rows} as r where true
             on conflict (service, rollout, instance) do nothing",
        )
        .bind(&rollout.service)
        .bind(rollout.number)
        .bind(now)
        .bind(rows)
        .run(&mut *tx)
        .await?;
    }
    db::query("update rollout set assigned = ? where service = ? and number = ?")
        .bind(true)
        .bind(&rollout.service)
        .bind(rollout.number)
        .run(tx)
        .await
        .map(drop)
}

pub(crate) async fn last_wave(on: impl On, rollout: &Rollout) -> Result<u32> {
    let query = "select coalesce(max(wave), 0) as wave from move where service = ? and rollout = ?";
    let query = db::query(query).bind(&rollout.service).bind(rollout.number);
    query.one(on, |row| row.get("wave")).await
}

fn read_move(row: &db::Row) -> Result<Move> {
    Ok(Move {
        instance: row.get("instance")?,
        wave: row.get("wave")?,
        state: row.json("state")?,
        since: row.get("since")?,
        problem: row.get("problem")?,
    })
}

/// In a state, those of the first waves first.
pub(crate) async fn moves_in(
    on: impl On,
    rollout: &Rollout,
    state: MoveState,
    limit: u32,
) -> Result<Vec<Move>> {
    moves_in_but(on, rollout, state, (limit, &[])).await
}

/// The same, without these instances.
pub(crate) async fn moves_in_but(
    on: impl On,
    rollout: &Rollout,
    state: MoveState,
    (limit, but): (u32, &[InstanceId]),
) -> Result<Vec<Move>> {
    db::query(
        "select * from move where service = ? and rollout = ? and state = ?
         and not (instance in {list}) order by wave, instance limit ?",
    )
    .bind(&rollout.service)
    .bind(rollout.number)
    .bind_json(&state)
    .bind(List::of(but.iter().copied()))
    .bind(limit)
    .all(on, read_move)
    .await
}

/// How far an instance is.
pub(crate) async fn move_of(
    on: impl On,
    rollout: &Rollout,
    instance: InstanceId,
) -> Result<Option<Move>> {
    db::query("select * from move where service = ? and rollout = ? and instance = ?")
        .bind(&rollout.service)
        .bind(rollout.number)
        .bind(instance)
        .optional(on, read_move)
        .await
}

/// Which of these instances the rollout knows.
pub(crate) async fn known_moves(
    on: impl On,
    rollout: &Rollout,
    instances: &[InstanceId],
) -> Result<BTreeSet<InstanceId>> {
    let query = db::query(
        "select instance from move where service = ? and rollout = ? and instance in {list}",
    );
    let query = query.bind(&rollout.service).bind(rollout.number);
    let query = query.bind(List::of(instances.iter().copied()));
    Ok(query.all(on, |row| row.get("instance")).await?.into_iter().collect())
}

/// Where a move stands in a list: what is not where it should be comes first. As [`place_of`].
const PLACE: &str = "case state when '\"failed\"' then '1' when '\"starting\"' then '2'
    when '\"waiting\"' then '3' when '\"excepted\"' then '4' else '5' end || '/' || instance";

/// In the order of their places; the cursor is the place of the last one that was seen.
pub(crate) async fn moves(
    on: impl On,
    (service, number): (&Name, u64),
    cursor: &Cursor,
) -> Result<Vec<Move>> {
    db::query(&format!(
        "select * from move where service = ? and rollout = ? and {PLACE} > ?
         order by {PLACE} limit ?"
    ))
    .bind(service)
    .bind(number)
    .bind(cursor.key())
    .bind(cursor.rows())
    .all(on, read_move)
    .await
}

/// Where in the order of [`moves`] one stands.
pub(crate) fn place_of(one: &Move) -> String {
    let state = match one.state {
        MoveState::Failed => 1,
        MoveState::Starting => 2,
        MoveState::Waiting => 3,
        MoveState::Excepted => 4,
        MoveState::Moved => 5,
    };
    format!("{state}/{}", one.instance)
}

/// Of rollouts of one service, by their numbers.
pub(crate) async fn count_moves(
    on: impl On,
    rollouts: &[Rollout],
) -> Result<BTreeMap<u64, MoveCounts>> {
    let Some(first) = rollouts.first() else { return Ok(BTreeMap::new()) };
    let counted: Vec<(u64, MoveState, u32)> = db::query(
        "select rollout, state, count(*) as number from move
         where service = ? and rollout in {list} group by rollout, state",
    )
    .bind(&first.service)
    .bind(List::of(rollouts.iter().map(|rollout| rollout.number)))
    .all(on, |row| Ok((row.get("rollout")?, row.json("state")?, row.get("number")?)))
    .await?;
    let mut counts: BTreeMap<u64, MoveCounts> = BTreeMap::new();
    for (rollout, state, number) in counted {
        let of = counts.entry(rollout).or_default();
        *match state {
            MoveState::Waiting => &mut of.waiting,
            MoveState::Starting => &mut of.starting,
            MoveState::Moved => &mut of.moved,
            MoveState::Failed => &mut of.failed,
            MoveState::Excepted => &mut of.excepted,
        } = number;
    }
    Ok(counts)
}

/// How many have failed in the first wave, and in later ones.
pub(crate) async fn failures(on: impl On, rollout: &Rollout) -> Result<(u32, u32)> {
    db::query(
        "select coalesce(sum(case when wave = 1 then 1 else 0 end), 0) as first,
         coalesce(sum(case when wave > 1 then 1 else 0 end), 0) as later
         from move where service = ? and rollout = ? and state = ?",
    )
    .bind(&rollout.service)
    .bind(rollout.number)
    .bind_json(&MoveState::Failed)
    .one(on, |row| Ok((row.get("first")?, row.get("later")?)))
    .await
}

/// Instances of a rollout are in another state from now on.
pub(crate) async fn set_moves(
    tx: &mut db::Tx,
    rollout: &Rollout,
    (state, now): (MoveState, Timestamp),
    instances: &[(InstanceId, Option<&str>)],
) -> Result<()> {
    let mut of_each: BTreeMap<Option<&str>, Vec<InstanceId>> = BTreeMap::new();
    for (instance, problem) in instances {
        of_each.entry(*problem).or_default().push(*instance);
    }
    for (problem, instances) in of_each {
        db::query(
            "update move set state = ?, since = ?, problem = ?
             where service = ? and rollout = ? and instance in {list}",
        )
        .bind_json(&state)
        .bind(now)
        .bind(problem)
        .bind(&rollout.service)
        .bind(rollout.number)
        .bind(List::of(instances))
        .run(&mut *tx)
        .await?;
    }
    Ok(())
}

/// All that are in a state are in another one; answers how many there were.
pub(crate) async fn reset_moves(
    tx: &mut db::Tx,
    rollout: &Rollout,
    (from, to): (MoveState, MoveState),
    now: Timestamp,
) -> Result<u64> {
    db::query(
        "update move set state = ?, since = ?, problem = null
         where service = ? and rollout = ? and state = ?",
    )
    .bind_json(&to)
    .bind(now)
    .bind(&rollout.service)
    .bind(rollout.number)
    .bind_json(&from)
    .run(tx)
    .await
}

/// The instances whose next release is started.
pub(crate) async fn starting(on: impl On) -> Result<HashSet<InstanceId>> {
    let query = db::query(
        "select move.instance from move join rollout
         on rollout.service = move.service and rollout.number = move.rollout
         where move.state = '\"starting\"' and rollout.ended is null",
    );
    Ok(query.all(on, |row| row.get("instance")).await?.into_iter().collect())
}
