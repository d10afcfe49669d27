//! Instances that move to another release: what is left of their jobs, and what changes.

use db::On;
use types::{Digest, InstanceId, JobId, Name, Timestamp};

use super::{Entry, Kind, Result, entries, lanes::read_kind};

/// How many jobs of an instance run, wait for a worker or are due by then; `None` if its gate is open.
/// What waits for others is done when none of these is left, or can only be done later.
pub(crate) async fn left(
    on: impl On,
    instance: InstanceId,
    until: Timestamp,
) -> Result<Option<u64>> {
    db::query(
        "select (select cast(coalesce(sum(lane.ready + lane.running), 0) as bigint)
            from lane join kind on kind.id = lane.kind
            where lane.instance = instance.id and kind.class <> 'setup')
         + (select count(*) from lane join job on job.lane = lane.id and job.state = 'delayed'
            where lane.instance = instance.id and lane.delayed > 0 and job.class <> 'setup'
            and job.not_before <= ?) as number
         from instance where id = ? and gate <> 'open'",
    )
    .bind(until)
    .bind(instance)
    .optional(on, |row| row.get("number"))
    .await
}

/// The lanes of an instance and what their jobs are, those of set-ups aside.
pub(crate) async fn lanes_and_kinds_of(
    tx: &mut db::Tx,
    instance: InstanceId,
) -> Result<Vec<(i64, Kind)>> {
    db::query(
        "select lane.id as lane, kind.* from lane join kind on kind.id = lane.kind
         where lane.instance = ? and kind.class <> 'setup' order by lane.id",
    )
    .bind(instance)
    .all(tx, |row| Ok((row.get("lane")?, read_kind(row)?)))
    .await
}

pub(crate) const HAS_JOBS: &str = "select id from lane where kind + 0 = ? and release = ?
    and (ready > 0 or running > 0 or delayed > 0 or blocked > 0 or held > 0) limit 1";

/// Whether jobs of a kind are left to do for instances that are on a release.
pub(crate) async fn has_jobs(on: impl On, kind: i64, release: &Digest) -> Result<bool> {
    let found = db::query(HAS_JOBS).bind(kind).bind(release);
    found.optional(on, |_| Ok(())).await.map(|found| found.is_some())
}

/// Some jobs of a queue that were set aside, of one name if that is said, the oldest first, of instances
/// that take jobs; locked.
pub(crate) async fn set_aside(
    tx: &mut db::Tx,
    (service, class, name): (&Name, &str, Option<&str>),
    limit: u32,
) -> Result<Vec<Entry>> {
    let named = if name.is_some() { "and name = ?" } else { "" };
    let text = format!(
        "select id from job where state = 'set_aside' and service = ? and class = ? {named}
         and not exists (select 1 from instance where instance.id = job.instance
            and (instance.state in ('ending', 'ended') or instance.gate = 'refuse'))
         order by id limit ?"
    );
    let asked = db::query(&text).bind(service).bind(class);
    let asked = match name {
        Some(name) => asked.bind(name),
        None => asked,
    };
    let ids: Vec<JobId> = asked.bind(limit).all(&mut *tx, |row| row.get("id")).await?;
    let mut entries = entries(tx, ids).await?;
    entries.retain(|entry| entry.state == crate::model::State::SetAside);
    Ok(entries)
}
