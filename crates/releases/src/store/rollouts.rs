//! Rollouts.

use api::releases::{Rollout, RolloutState};
use db::On;
use types::{Cursor, Name, Principal, Timestamp};

use super::Result;

fn read(row: &db::Row) -> Result<Rollout> {
    let by: Option<String> = row.get("principal")?;
    let principal = |text: String| {
        text.parse::<Principal>().map_err(|cause| db::Error::encode("principal", cause))
    };
    Ok(Rollout {
        service: row.get("service")?,
        number: row.get("number")?,
        from: row.get("former")?,
        to: row.get("release")?,
        state: row.json("state")?,
        by: by.map(principal).transpose()?,
        begun: row.get("begun")?,
        ended: row.get("ended")?,
        left: 0,
    })
}

pub(crate) async fn insert_rollout(tx: &mut db::Tx, rollout: &Rollout) -> Result<()> {
    db::query(
        "insert into rollout (service, number, former, release, state, principal, begun)
         values (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&rollout.service)
    .bind(rollout.number)
    .bind(rollout.from.as_ref())
    .bind(&rollout.to)
    .bind_json(&rollout.state)
    .bind(rollout.by.as_ref().map(ToString::to_string).as_deref())
    .bind(rollout.begun)
    .run(tx)
    .await
    .map(drop)
}

/// The number of the next one: they count up, also from what releases were counted by before there
/// were rollouts.
pub(crate) async fn next_rollout(tx: &mut db::Tx, service: &Name) -> Result<u64> {
    db::query("select coalesce(max(number), 0) + 1 as number from rollout where service = ?")
        .bind(service)
        .one(tx, |row| row.get("number"))
        .await
}

pub(crate) async fn rollout(on: impl On, service: &Name, number: u64) -> Result<Option<Rollout>> {
    db::query("select * from rollout where service = ? and number = ?")
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
        .all(on, read)
        .await
}

pub(crate) async fn rollout_under_way(on: impl On, service: &Name) -> Result<Option<Rollout>> {
    db::query("select * from rollout where service = ? and ended is null")
        .bind(service)
        .optional(on, read)
        .await
}

pub(crate) async fn rollouts_under_way(on: impl On) -> Result<Vec<Rollout>> {
    db::query("select * from rollout where ended is null order by service").all(on, read).await
}

/// Everybody has been told: instances move.
pub(crate) async fn set_moving(tx: &mut db::Tx, rollout: &Rollout) -> Result<()> {
    db::query("update rollout set state = ? where service = ? and number = ? and ended is null")
        .bind_json(&RolloutState::Moving)
        .bind(&rollout.service)
        .bind(rollout.number)
        .run(tx)
        .await
        .map(drop)
}

pub(crate) async fn end_rollout(
    tx: &mut db::Tx,
    rollout: &Rollout,
    state: RolloutState,
    now: Timestamp,
) -> Result<()> {
    db::query(
        "update rollout set state = ?, ended = ?
         where service = ? and number = ? and ended is null",
    )
    .bind_json(&state)
    .bind(now)
    .bind(&rollout.service)
    .bind(rollout.number)
    .run(tx)
    .await
    .map(drop)
}
