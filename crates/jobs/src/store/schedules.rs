//! When which instance's jobs recur.

use api::jobs::Schedule;
use db::{List, On, Rows, row};
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

/// Jobs of instances recur from now on, or go on as they did; each with whether its instance is open.
pub(crate) async fn put_schedules(tx: &mut db::Tx, all: &[(Recurring, bool)]) -> Result<()> {
    let mut rows = Rows::new(&["instance", "name", "account", "service", "plan", "last", "open"]);
    for (it, is_open) in all {
        let plan = serde_json::to_string(&it.schedule);
        let plan = plan.map_err(|cause| db::Error::encode("plan", cause))?;
        rows.push(row![it.instance, &it.name, it.account, &it.service, plan, it.last, *is_open]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    db::query(&format!(
        "insert into schedule (instance, name, account, service, plan, last, due, is_open)
         select r.instance, r.name, r.account, r.service, r.plan, r.last, r.last, r.open
         from {{rows}} as r where true {BEGIN_ANEW}"
    ))
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

/// The jobs of instances that recur.
pub(crate) async fn scheduled(
    tx: &mut db::Tx,
    instances: impl IntoIterator<Item = InstanceId>,
) -> Result<Vec<(InstanceId, String)>> {
    db::query("select instance, name from schedule where instance in {list}")
        .bind(List::of(instances))
        .all(tx, |row| Ok((row.get("instance")?, row.get("name")?)))
        .await
}

/// Jobs of instances do not recur any more.
pub(crate) async fn delete_schedules(
    tx: &mut db::Tx,
    gone: impl IntoIterator<Item = (InstanceId, String)>,
) -> Result<()> {
    let mut rows = Rows::new(&["instance", "name"]);
    for (instance, name) in gone {
        rows.push(row![instance, name]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    db::query(
        "delete from schedule where (instance, name) in
         (select r.instance, r.name from {rows} as r)",
    )
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
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
