//! Jobs: written, found and handed out.

use api::jobs::Progress;
use db::{On, Rows, row};
use types::{AccountId, Digest, InstanceId, JobId, Name, NodeId, Timestamp};

use super::Result;
use crate::model::State;

/// A job, without what it reads, prints and comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) job: JobId,
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) service: Name,
    pub(crate) lane: i64,
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) state: State,
    pub(crate) blocked_by: u64,
    pub(crate) is_awaited: bool,
    /// Whether it has a key that is not given back yet.
    pub(crate) has_key: bool,
    pub(crate) not_before: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) attempts_max: u32,
    pub(crate) lost: u32,
    pub(crate) token: u64,
    pub(crate) node: Option<NodeId>,
    pub(crate) release: Option<Digest>,
    pub(crate) lease_expires: Option<Timestamp>,
    pub(crate) cancelled: bool,
    pub(crate) started: Option<Timestamp>,
}

/// The columns that [`read_entry`] reads.
pub(super) const ENTRY: &str =
    "job.id, job.account, job.instance, job.service, job.lane, job.class,
    job.name, job.version, job.state, job.blocked_by, job.is_awaited, job.unique_until,
    job.not_before, job.attempts, job.attempts_max, job.lost, job.token, job.node, job.release,
    job.lease_expires, job.cancelled, job.started";

pub(super) fn read_state(row: &db::Row) -> Result<State> {
    let word: String = row.get("state")?;
    State::of_word(&word).ok_or_else(|| db::Error::encode("state", &word))
}

pub(super) fn read_entry(row: &db::Row) -> Result<Entry> {
    Ok(Entry {
        job: row.get("id")?,
        account: row.get("account")?,
        instance: row.get("instance")?,
        service: row.get("service")?,
        lane: row.get("lane")?,
        class: row.get("class")?,
        name: row.get("name")?,
        version: row.get("version")?,
        state: read_state(row)?,
        blocked_by: row.get("blocked_by")?,
        is_awaited: row.get("is_awaited")?,
        has_key: row.get::<Option<String>>("unique_until")?.is_some(),
        not_before: row.get("not_before")?,
        attempts: row.get("attempts")?,
        attempts_max: row.get("attempts_max")?,
        lost: row.get("lost")?,
        token: row.get("token")?,
        node: row.get("node")?,
        release: row.get("release")?,
        lease_expires: row.get("lease_expires")?,
        cancelled: row.get("cancelled")?,
        started: row.get("started")?,
    })
}

/// What a new job is, beside its [`Entry`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewRow {
    pub(crate) entry: Entry,
    pub(crate) priority: i32,
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
            new.priority,
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
         not_before, attempts, lost, token, cancelled, output, created)
         select id, account, instance, service, lane, class, name, version, priority, payload,
         attempts_max, timeout_seconds, unique_until, state, blocked_by, ?, not_before, 0, 0, 0, ?,
         '', ? from {rows} as r",
    )
    .bind(false)
    .bind(false)
    .bind(now)
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

/// Locked, inside a transaction, until that ends.
pub(crate) async fn entry(on: impl On, id: JobId) -> Result<Option<Entry>> {
    db::query(&format!("select {ENTRY} from job where id = ? /*for update*/"))
        .bind(id)
        .optional(on, read_entry)
        .await
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
    db::query(&format!(
        "select {ENTRY} from job where job.id in (select r.id from {{rows}} as r)
         order by job.id /*for update*/"
    ))
    .bind(ids)
    .all(tx, read_entry)
    .await
}

pub(crate) const PARKED: &str = "from job where lane = ? and state = WORD order by id limit ?";

/// Some jobs of a lane in one state, the oldest first, locked until the transaction ends.
pub(crate) async fn entries_of_lane(
    tx: &mut db::Tx,
    lane: i64,
    state: State,
    limit: u32,
) -> Result<Vec<Entry>> {
    // Written out, so that an index of some states is seen to fit.
    let text = PARKED.replace("WORD", &format!("'{}'", state.word()));
    db::query(&format!("select {ENTRY} {text} /*for update*/"))
        .bind(lane)
        .bind(limit)
        .all(tx, read_entry)
        .await
}

/// The ids of those of a lane that come first, as words of priority and id.
pub(crate) const TOP: &str = "select r.lane,
    (select string_agg(top.word, ' ') from
        (select priority || ':' || id as word from job where job.lane = r.lane
         and job.state = 'ready' order by job.priority desc, job.id limit ?) as top) as words
    from {rows} as r";

/// A job that can be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) lane: i64,
    pub(crate) priority: i32,
    pub(crate) job: JobId,
}

/// Of each of these lanes the jobs that come first, at most so many.
pub(crate) async fn candidates(on: impl On, lanes: &[i64], most: u32) -> Result<Vec<Candidate>> {
    let lanes: Vec<Vec<Candidate>> = db::query(TOP)
        .bind(most)
        .bind(Rows::of(&["lane"], lanes.iter().copied()))
        .all(on, |row| {
            let (lane, words): (i64, Option<String>) = (row.get("lane")?, row.get("words")?);
            let words = words.unwrap_or_default();
            words.split_whitespace().map(|word| candidate(lane, word)).collect()
        })
        .await?;
    Ok(lanes.concat())
}

fn candidate(lane: i64, word: &str) -> Result<Candidate> {
    let read = || {
        let (priority, job) = word.split_once(':')?;
        Some(Candidate { lane, priority: priority.parse().ok()?, job: job.parse().ok()? })
    };
    read().ok_or_else(|| db::Error::encode("words", word))
}

/// A job that was handed out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claimed {
    pub(crate) job: JobId,
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) service: Name,
    pub(crate) lane: i64,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) release: Digest,
    pub(crate) payload: serde_json::Value,
    pub(crate) attempts: u32,
    pub(crate) token: u64,
    pub(crate) timeout_seconds: Option<u32>,
    pub(crate) unique_until: Option<String>,
}

/// Gives jobs to a node, each to be done by a release; answers which of them were still to be had.
pub(crate) async fn claim(
    tx: &mut db::Tx,
    node: NodeId,
    jobs: &[(JobId, &Digest)],
    now: Timestamp,
    lease_expires: Timestamp,
) -> Result<Vec<Claimed>> {
    let mut rows = Rows::new(&["id", "digest"]);
    for (job, release) in jobs {
        rows.push(row![*job, *release]);
    }
    db::query(
        "update job set state = 'running', attempts = job.attempts + 1, token = job.token + 1,
         node = ?, started = ?, lease_expires = ?, release = r.digest, progress = null,
         problem = null, output = '' from {rows} as r
         where job.id = r.id and job.state = 'ready'
         returning job.id, job.account, job.instance, job.service, job.lane, job.name,
         job.version, job.release, job.payload, job.attempts, job.token, job.timeout_seconds,
         job.unique_until",
    )
    .bind(node)
    .bind(now)
    .bind(lease_expires)
    .bind(rows)
    .all(tx, |row| {
        Ok(Claimed {
            job: row.get("id")?,
            account: row.get("account")?,
            instance: row.get("instance")?,
            service: row.get("service")?,
            lane: row.get("lane")?,
            name: row.get("name")?,
            version: row.get("version")?,
            release: row.get("release")?,
            payload: row.json("payload")?,
            attempts: row.get("attempts")?,
            token: row.get("token")?,
            timeout_seconds: row.get("timeout_seconds")?,
            unique_until: row.get("unique_until")?,
        })
    })
    .await
}

/// The leases of a node: which job, and its token.
pub(crate) async fn leases_of(on: impl On, node: NodeId) -> Result<Vec<(JobId, u64)>> {
    db::query("select id, token from job where state = 'running' and node = ?")
        .bind(node)
        .all(on, |row| Ok((row.get("id")?, row.get("token")?)))
        .await
}

pub(crate) const EXPIRED: &str = "select id from job where state = 'running'
    and lease_expires <= ? order by lease_expires limit ?";

/// The jobs whose leases ran out, the longest expired first.
pub(crate) async fn expired(on: impl On, now: Timestamp, limit: u32) -> Result<Vec<JobId>> {
    db::query(EXPIRED).bind(now).bind(limit).all(on, |row| row.get("id")).await
}

/// When the next lease runs out.
pub(crate) async fn next_expiry(on: impl On) -> Result<Option<Timestamp>> {
    db::query(
        "select lease_expires from job where state = 'running' order by lease_expires limit 1",
    )
    .optional(on, |row| row.get("lease_expires"))
    .await
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
    db::query(
        "update job set state = 'ready' where state = 'delayed'
         and id in (select r.id from {rows} as r) returning lane",
    )
    .bind(due)
    .all(tx, |row| row.get("lane"))
    .await
}

/// Keeps that leases hold on, and what was told with it.
pub(crate) async fn renew(
    tx: &mut db::Tx,
    told: &[(JobId, String, Option<&Progress>)],
    lease_expires: Timestamp,
) -> Result<()> {
    let mut rows = Rows::new(&["id", "output", "progress"]);
    for (job, output, progress) in told {
        let progress = progress.map(serde_json::to_string).transpose();
        let progress = progress.map_err(|cause| db::Error::encode("progress", cause))?;
        rows.push(row![*job, output, progress]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    db::query(
        "update job set lease_expires = ?, output = r.output,
         progress = coalesce(r.progress, job.progress) from {rows} as r where job.id = r.id",
    )
    .bind(lease_expires)
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

/// Whether a job or a key was kept for long enough.
pub(crate) async fn is_anything_old(on: impl On, now: Timestamp) -> Result<bool> {
    db::query(
        "select id from (select job.id from job where job.forget <= ? and not exists
         (select 1 from untold where untold.job = job.id) limit 1) as old_job
         union all
         select job from (select job from unique_key where expires <= ? limit 1) as old_key",
    )
    .bind(now)
    .bind(now)
    .all(on, |_| Ok(()))
    .await
    .map(|found| !found.is_empty())
}

/// Forgets jobs that ended long ago and were told; answers their lanes and states.
pub(crate) async fn prune(
    tx: &mut db::Tx,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(i64, State)>> {
    db::query(
        "delete from job where id in (select old.id from job as old where old.forget <= ?
         and not exists (select 1 from untold where untold.job = old.id)
         order by old.forget limit ?) returning lane, state",
    )
    .bind(now)
    .bind(limit)
    .all(tx, |row| Ok((row.get("lane")?, read_state(row)?)))
    .await
}
