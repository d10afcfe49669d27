//! Jobs: written, found and locked.
//!
//! A job's own row says where it stands unless that is `ready`. Then it is in one of three tables: it
//! goes from `ready` to `lease` when it is handed out and on to `success`, and neither step writes its
//! own row. Whoever wants to do something else with it locks both, by [`entries`].

use db::{On, Rows, row};
use types::{JobId, Timestamp};

use super::{
    Result,
    entry::{ENTRY, Entry, read_entry, read_state},
    leases::{Candidate, insert_ready, lock_leases, look_closer, offer},
};
use crate::model::State;

/// What a new job is, beside its [`Entry`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewRow {
    pub(crate) entry: Entry,
    /// JSON.
    pub(crate) payload: String,
    pub(crate) timeout_seconds: Option<u32>,
    pub(crate) unique_until: Option<&'static str>,
}

pub(crate) async fn insert_jobs(tx: &mut db::Tx, jobs: &[NewRow], now: Timestamp) -> Result<()> {
    let mut rows = Rows::new(&[
        "id",
        "account",
        "instance",
        "service",
        "lane",
        "class",
        "name",
        "version",
        "priority",
        "payload",
        "attempts_max",
        "timeout_seconds",
        "unique_until",
        "state",
        "blocked_by",
        "not_before",
    ]);
    for new in jobs {
        let entry = &new.entry;
        rows.push(row![
            entry.job,
            entry.account,
            entry.instance,
            &entry.service,
            entry.lane,
            &entry.class,
            &entry.name,
            entry.version,
            entry.priority,
            &new.payload,
            entry.attempts_max,
            new.timeout_seconds,
            new.unique_until,
            entry.state.word(),
            entry.blocked_by,
            entry.not_before,
        ]);
    }
    db::query(
        "insert into job (id, account, instance, service, lane, class, name, version, priority,
         payload, attempts_max, timeout_seconds, unique_until, state, blocked_by, is_awaited,
         not_before, attempts, lost, token, output, created)
         select id, account, instance, service, lane, class, name, version, priority, payload,
         attempts_max, timeout_seconds, unique_until, state, blocked_by, ?, not_before, 0, 0, 0,
         '', ? from {rows} as r",
    )
    .bind(false)
    .bind(now)
    .bind(rows)
    .run(&mut *tx)
    .await?;
    let ready = jobs.iter().filter(|new| new.entry.state == State::Ready);
    let ready: Vec<Candidate> = ready.map(NewRow::candidate).collect();
    insert_ready(tx, &ready).await
}

impl NewRow {
    fn candidate(&self) -> Candidate {
        let Entry { lane, priority, job, .. } = self.entry;
        Candidate { lane, rank: -priority, job, bytes: self.payload.len() }
    }
}

/// Locked until the transaction ends.
pub(crate) async fn entry(tx: &mut db::Tx, id: JobId) -> Result<Option<Entry>> {
    Ok(entries(tx, [id]).await?.pop())
}

/// Locked, in the order of their ids, until the transaction ends.
pub(crate) async fn entries(
    tx: &mut db::Tx,
    ids: impl IntoIterator<Item = JobId>,
) -> Result<Vec<Entry>> {
    let ids = Rows::of(&["id"], ids);
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    lock_leases(tx, ids.clone()).await?;
    let mut entries = db::query(&format!(
        "select {ENTRY} from job where job.id in (select r.id from {{rows}} as r)
         order by job.id /*for update*/"
    ))
    .bind(ids)
    .all(&mut *tx, read_entry)
    .await?;
    look_closer(tx, &mut entries).await?;
    Ok(entries)
}

pub(crate) const PARKED: &str = "from job where lane = ? and state = WORD order by id limit ?";

/// Some jobs of a lane in one state, the oldest first, locked until the transaction ends.
pub(crate) async fn entries_of_lane(
    tx: &mut db::Tx,
    lane: i64,
    state: State,
    limit: u32,
) -> Result<Vec<Entry>> {
    let ids = match state {
        State::Ready => "select job from ready where lane = ? order by rank, job limit ?",
        State::Running => "select job from lease where lane = ? order by job limit ?",
        _ => {
            // Written out, so that an index of some states is seen to fit.
            let text = PARKED.replace("WORD", &format!("'{}'", state.word()));
            return db::query(&format!("select {ENTRY} {text} /*for update*/"))
                .bind(lane)
                .bind(limit)
                .all(tx, read_entry)
                .await;
        }
    };
    let ids: Vec<JobId> =
        db::query(ids).bind(lane).bind(limit).all(&mut *tx, |row| row.get("job")).await?;
    let mut entries = entries(tx, ids).await?;
    entries.retain(|entry| entry.state == state);
    Ok(entries)
}

/// When the next job is due.
pub(crate) async fn next_due(on: impl On) -> Result<Option<Timestamp>> {
    db::query("select not_before from job where state = 'delayed' order by not_before limit 1")
        .optional(on, |row| row.get("not_before"))
        .await
}

pub(crate) const DUE: &str = "select id from job where state = 'delayed' and not_before <= ?
    order by not_before limit ? /*skip locked*/";

/// Makes jobs ready that are due; answers their lanes.
pub(crate) async fn make_due(tx: &mut db::Tx, now: Timestamp, limit: u32) -> Result<Vec<i64>> {
    let due: Vec<JobId> =
        db::query(DUE).bind(now).bind(limit).all(&mut *tx, |row| row.get("id")).await?;
    let due = Rows::of(&["id"], due);
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let lanes = db::query(
        "update job set state = 'ready' where state = 'delayed'
         and id in (select r.id from {rows} as r) returning lane",
    )
    .bind(due.clone())
    .all(&mut *tx, |row| row.get("lane"))
    .await?;
    offer(tx, due).await?;
    Ok(lanes)
}

/// Whether a job or a key was kept for long enough.
pub(crate) async fn is_anything_old(on: impl On, now: Timestamp) -> Result<bool> {
    db::query(
        "select id from (select job.id from job where job.forget <= ? and not exists
         (select 1 from untold where untold.job = job.id) limit 1) as old_job
         union all
         select job from (select success.job from success where success.forget <= ? and not exists
         (select 1 from untold where untold.job = success.job) limit 1) as old_success
         union all
         select job from (select job from unique_key where expires <= ? limit 1) as old_key",
    )
    .bind(now)
    .bind(now)
    .bind(now)
    .all(on, |_| Ok(()))
    .await
    .map(|found| !found.is_empty())
}

/// Forgets jobs that ended long ago and were told, some that succeeded and some that did not;
/// answers their lanes and states.
pub(crate) async fn prune(
    tx: &mut db::Tx,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(i64, State)>> {
    let succeeded: Vec<JobId> = db::query(
        "delete from success where job in (select old.job from success as old where old.forget <= ?
         and not exists (select 1 from untold where untold.job = old.job)
         order by old.forget limit ?) returning job",
    )
    .bind(now)
    .bind(limit)
    .all(&mut *tx, |row| row.get("job"))
    .await?;
    let mut forgotten = Vec::new();
    let succeeded = Rows::of(&["id"], succeeded);
    if !succeeded.is_empty() {
        let delete = "delete from job where id in (select r.id from {rows} as r) returning lane";
        let lanes = db::query(delete).bind(succeeded);
        let read = |row: &db::Row| Ok((row.get("lane")?, State::Succeeded));
        forgotten.extend(lanes.all(&mut *tx, read).await?);
    }
    let others = db::query(
        "delete from job where id in (select old.id from job as old where old.forget <= ?
         and not exists (select 1 from untold where untold.job = old.id)
         order by old.forget limit ?) returning lane, state",
    );
    let read = |row: &db::Row| Ok((row.get("lane")?, read_state(row)?));
    forgotten.extend(others.bind(now).bind(limit).all(tx, read).await?);
    Ok(forgotten)
}
