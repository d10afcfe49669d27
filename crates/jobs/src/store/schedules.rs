//! When which instance's jobs recur.

use api::jobs::Schedule;
use db::On;
use types::{AccountId, InstanceId, Name, Timestamp};

use super::Result;

/// A job of an instance that recurs.
#[derive(Debug, Clone)]
pub(crate) struct Recurring {
    pub(crate) instance: InstanceId,
    pub(crate) account: AccountId,
    pub(crate) service: Name,
    pub(crate) name: String,
    pub(crate) schedule: Schedule,
    /// The last tick that was dealt with.
    pub(crate) last: Timestamp,
}

fn read(row: &db::Row) -> Result<Recurring> {
    Ok(Recurring {
        instance: row.get("instance")?,
        account: row.get("account")?,
        service: row.get("service")?,
        name: row.get("name")?,
        schedule: row.json("plan")?,
        last: row.get("last")?,
    })
}

/// What recurs by another schedule than before begins with it anew, and never before what it was
/// queued for already.
const BEGIN_ANEW: &str = "on conflict (instance, name) do update set
     due = case when schedule.plan = excluded.plan then schedule.due else excluded.due end,
     last = case when schedule.plan = excluded.plan or schedule.last > excluded.last
     then schedule.last else excluded.last end,
     is_open = excluded.is_open, plan = excluded.plan";

/// A job of one instance recurs from now on, or goes on as it did.
pub(crate) async fn put_schedule(
    tx: &mut db::Tx,
    recurring: &Recurring,
    is_open: bool,
) -> Result<()> {
    db::query(&format!(
        "insert into schedule (instance, name, account, service, plan, last, due, is_open)
         values (?, ?, ?, ?, ?, ?, ?, ?) {BEGIN_ANEW}"
    ))
    .bind(recurring.instance)
    .bind(&recurring.name)
    .bind(recurring.account)
    .bind(&recurring.service)
    .bind_json(&recurring.schedule)
    .bind(recurring.last)
    .bind(recurring.last)
    .bind(is_open)
    .run(tx)
    .await
    .map(drop)
}

/// The jobs of an instance that recur.
pub(crate) async fn scheduled_names(tx: &mut db::Tx, instance: InstanceId) -> Result<Vec<String>> {
    db::query("select name from schedule where instance = ? order by name")
        .bind(instance)
        .all(tx, |row| row.get("name"))
        .await
}

/// A job of an instance does not recur any more.
pub(crate) async fn delete_schedule(
    tx: &mut db::Tx,
    instance: InstanceId,
    name: &str,
) -> Result<()> {
    db::query("delete from schedule where instance = ? and name = ?")
        .bind(instance)
        .bind(name)
        .run(tx)
        .await
        .map(drop)
}

/// Nothing recurs for an instance any more.
pub(crate) async fn delete_schedules_of(tx: &mut db::Tx, instance: InstanceId) -> Result<()> {
    db::query("delete from schedule where instance = ?").bind(instance).run(tx).await.map(drop)
}

pub(crate) const SCHEDULES_DUE: &str =
    "select * from schedule where is_open and due <= ? order by due limit ?";

/// What is due, the longest first.
pub(crate) async fn schedules_due(
    on: impl On,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Recurring>> {
    db::query(SCHEDULES_DUE).bind(now).bind(limit).all(on, read).await
}

/// The same again, unless somebody else has dealt with it. Locked until the transaction ends.
pub(crate) async fn schedule_due(
    tx: &mut db::Tx,
    (instance, name): (InstanceId, &str),
    now: Timestamp,
) -> Result<Option<Recurring>> {
    db::query(
        "select * from schedule where instance = ? and name = ? and is_open and due <= ?
         /*for update*/",
    )
    .bind(instance)
    .bind(name)
    .bind(now)
    .optional(tx, read)
    .await
}

pub(crate) const SCHEDULE_NEXT: &str =
    "select due from schedule where is_open and due is not null order by due limit 1";

/// When something is due next.
pub(crate) async fn next_schedule(on: impl On) -> Result<Option<Timestamp>> {
    db::query(SCHEDULE_NEXT).optional(on, |row| row.get("due")).await
}

/// What was due is dealt with up to `last`, and due again at `due`, or never.
pub(crate) async fn set_due(
    tx: &mut db::Tx,
    recurring: &Recurring,
    (last, due): (Timestamp, Option<Timestamp>),
) -> Result<()> {
    db::query("update schedule set last = ?, due = ? where instance = ? and name = ?")
        .bind(last)
        .bind(due)
        .bind(recurring.instance)
        .bind(&recurring.name)
        .run(tx)
        .await
        .map(drop)
}
