//! Jobs: written, found and locked.
//!
//! A job's own row says where it stands unless that is `ready`. Then it is in one of three tables: it
//! goes from `ready` to `lease` when it is handed out and on to `success`, and neither step writes its
//! own row. Whoever wants to do something else with it locks both, by [`entries`].

use db::{List, On, Rows, row};
use types::{InstanceId, JobId, Timestamp};

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

/// Queues jobs of an instance, in lanes that are there.
pub(crate) async fn insert_jobs(
    tx: &mut db::Tx,
    instance: InstanceId,
    jobs: &[NewRow],
    now: Timestamp,
) -> Result<()> {
    let mut rows = Rows::new(&[
        "id",
        "lane",
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
            entry.lane,
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
    let inserted = db::query(
        "insert into job (id, account, instance, service, lane, class, name, version, priority,
         payload, attempts_max, timeout_seconds, unique_until, state, blocked_by, is_awaited,
         not_before, attempts, lost, token, output, created)
         select r.id, lane.account, lane.instance, kind.service, lane.id, kind.class, kind.name,
         kind.version, r.priority, r.payload, r.attempts_max, r.timeout_seconds, r.unique_until,
         r.state, r.blocked_by, ?, r.not_before, 0, 0, 0, '', ?
         from {rows} as r join lane on lane.id = r.lane and lane.instance = ?
         join kind on kind.id = lane.kind",
    )
    .bind(false)
    .bind(now)
    .bind(rows)
    .bind(instance)
    .run(&mut *tx)
    .await?;
    // Nobody's job goes where another's lane happens to have the same number.
    if inserted != jobs.len() as u64 {
        return Err(db::Error::encode("lane", "another's has its number"));
    }
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
    let ids = List::of(ids);
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    lock_leases(tx, ids.clone()).await?;
    let mut entries = db::query(&format!(
        "select {ENTRY} from job where job.id in {{list}} order by job.id /*for update*/"
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
    let due = List::of(due);
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let made =
        "update job set state = 'ready' where state = 'delayed' and id in {list} returning lane";
    let lanes = db::query(made).bind(due.clone()).all(&mut *tx, |row| row.get("lane")).await?;
    offer(tx, due).await?;
    Ok(lanes)
}

/// Which jobs are to be forgotten, those first that were to be longest ago: in this table, by this
/// column.
pub(crate) fn old(table: &str, key: &str) -> String {
    format!(
        "select old.{key} from {table} as old where old.forget <= ? and not exists
         (select 1 from untold where untold.job = old.{key}) order by old.forget limit ?"
    )
}

/// Whether a job or a key was kept for long enough.
pub(crate) async fn is_anything_old(on: impl On, now: Timestamp) -> Result<bool> {
    let (others, succeeded) = (old("job", "id"), old("success", "job"));
    let keys = "select job from unique_key where expires <= ? limit ?";
    db::query(&format!(
        "select id from ({others}) as others union all select job from ({succeeded}) as succeeded
         union all select job from ({keys}) as keys"
    ))
    .bind(now)
    .bind(1_u32)
    .bind(now)
    .bind(1_u32)
    .bind(now)
    .bind(1_u32)
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
    let succeeded = old("success", "job");
    let succeeded: Vec<JobId> =
        db::query(&format!("delete from success where job in ({succeeded}) returning job"))
            .bind(now)
            .bind(limit)
            .all(&mut *tx, |row| row.get("job"))
            .await?;
    let mut forgotten = Vec::new();
    let succeeded = List::of(succeeded);
    if !succeeded.is_empty() {
        let delete = "delete from job where id in {list} returning lane";
        let lanes = db::query(delete).bind(succeeded);
        let read = |row: &db::Row| Ok((row.get("lane")?, State::Succeeded));
        forgotten.extend(lanes.all(&mut *tx, read).await?);
    }
    let others = old("job", "id");
    let others =
        db::query(&format!("delete from job where id in ({others}) returning lane, state"));
    let read = |row: &db::Row| Ok((row.get("lane")?, read_state(row)?));
    forgotten.extend(others.bind(now).bind(limit).all(tx, read).await?);
    Ok(forgotten)
}
