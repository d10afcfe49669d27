//! What waits for a worker, what a worker has, and what has succeeded: the way of a job that goes
//! well, each step one row that goes from one small table to the next.

use std::collections::{BTreeMap, BTreeSet};

use api::jobs::Progress;
use db::{List, On, Rows, row};
use types::{Digest, InstanceId, JobId, NodeId, Timestamp};

use super::{
    Result,
    entry::Entry,
    lanes::{Whose, whose},
};
use crate::model::State;

/// A job that can be handed out. The lower its rank, the sooner it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) lane: i64,
    pub(crate) rank: i32,
    pub(crate) job: JobId,
    /// How long its payload is.
    pub(crate) bytes: usize,
}

/// Puts jobs where workers get them.
pub(super) async fn insert_ready(tx: &mut db::Tx, ready: &[Candidate]) -> Result<()> {
    let mut rows = Rows::new(&["lane", "rank", "job", "bytes"]);
    for Candidate { lane, rank, job, bytes } in ready {
        rows.push(row![*lane, *rank, *job, *bytes as u64]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    db::query(
        "insert into ready (lane, rank, job, bytes) select lane, rank, job, bytes
         from {rows} as r",
    )
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

/// Puts those of these jobs where workers get them that are to be there by their own rows.
pub(super) async fn offer(tx: &mut db::Tx, jobs: List) -> Result<()> {
    db::query(
        "insert into ready (lane, rank, job, bytes)
         select job.lane, -job.priority, job.id, octet_length(job.payload) from job
         where job.id in {list} and job.state = 'ready'
         on conflict (job) do nothing",
    )
    .bind(jobs)
    .run(tx)
    .await
    .map(drop)
}

/// Takes jobs from where workers get them, and from those who have them.
pub(super) async fn withdraw(tx: &mut db::Tx, jobs: List) -> Result<()> {
    db::query("delete from ready where job in {list}").bind(jobs.clone()).run(&mut *tx).await?;
    db::query("delete from lease where job in {list}").bind(jobs).run(tx).await.map(drop)
}

/// What a lease says of its job.
struct Leased {
    node: NodeId,
    token: u64,
    attempts: u32,
    release: Digest,
    started: Timestamp,
    expires: Timestamp,
    cancelled: bool,
    stopped: bool,
}

impl Leased {
    fn read(row: &db::Row) -> Result<(JobId, Self)> {
        let leased = Self {
            node: row.get("node")?,
            token: row.get("token")?,
            attempts: row.get("attempts")?,
            release: row.get("release")?,
            started: row.get("started")?,
            expires: row.get("expires")?,
            cancelled: row.get("cancelled")?,
            stopped: row.get("stopped")?,
        };
        Ok((row.get("job")?, leased))
    }

    fn tell(self, entry: &mut Entry) {
        entry.state = State::Running;
        entry.node = Some(self.node);
        entry.token = self.token;
        entry.attempts = self.attempts;
        entry.release = Some(self.release);
        entry.started = Some(self.started);
        entry.lease_expires = Some(self.expires);
        entry.cancelled = self.cancelled;
        entry.stopped = self.stopped;
    }
}

/// Locks the leases of these jobs. It comes before their own rows are locked: whoever ends a lease
/// has that and goes on to the rows of jobs that waited for this one.
pub(super) async fn lock_leases(tx: &mut db::Tx, jobs: List) -> Result<()> {
    db::query("select job from lease where job in {list} order by job /*for update*/")
        .bind(jobs)
        .all(tx, |_| Ok(()))
        .await
        .map(drop)
}

/// Where those stand that are ready by their own rows, which are locked. They are looked for in the
/// order in which a job goes through the tables, so one that is on its way is not missed.
pub(super) async fn look_closer(tx: &mut db::Tx, entries: &mut [Entry]) -> Result<()> {
    let ready = entries.iter().filter(|entry| entry.state == State::Ready);
    let ready = List::of(ready.map(|entry| entry.job));
    if ready.is_empty() {
        return Ok(());
    }
    let waiting: BTreeSet<JobId> =
        db::query("select job from ready where job in {list} order by job /*for update*/")
            .bind(ready)
            .all(&mut *tx, |row| row.get("job"))
            .await?
            .into_iter()
            .collect();
    let begun = |entry: &&mut Entry| entry.state == State::Ready && !waiting.contains(&entry.job);
    let ids = List::of(entries.iter_mut().filter(begun).map(|entry| entry.job));
    if ids.is_empty() {
        return Ok(());
    }
    let leased = db::query("select * from lease where job in {list} order by job /*for update*/");
    let leased = leased.bind(ids).all(tx, Leased::read).await?;
    let mut leased: BTreeMap<JobId, Leased> = leased.into_iter().collect();
    for entry in entries.iter_mut().filter(begun) {
        match leased.remove(&entry.job) {
            Some(leased) => leased.tell(entry),
            None => entry.state = State::Succeeded,
        }
    }
    Ok(())
}

/// Those of a lane that come first, as words of rank, length and id. The lane is the end of a range
/// that begins before any rank: so the index is read in its order, where a plan for equal lanes sorts
/// all of them as long as the planner has not heard how many there are.
pub(crate) const TOP: &str = "select r.lane,
    (select string_agg(top.word, ' ') from
        (select ready.rank || ':' || ready.bytes || ':' || ready.job as word from ready
         where (ready.lane, ready.rank) >= (r.lane, -1000000) and ready.lane <= r.lane
         order by ready.lane, ready.rank, ready.job limit ?) as top) as words
    from {rows} as r";

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
        let (rank, rest) = word.split_once(':')?;
        let (bytes, job) = rest.split_once(':')?;
        let (rank, bytes) = (rank.parse().ok()?, bytes.parse().ok()?);
        Some(Candidate { lane, rank, job: job.parse().ok()?, bytes })
    };
    read().ok_or_else(|| db::Error::encode("words", word))
}

/// A job that was handed out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claimed {
    pub(crate) job: JobId,
    pub(crate) lane: i64,
    pub(crate) release: Digest,
    pub(crate) payload: serde_json::Value,
    /// This one included.
    pub(crate) attempts: u32,
    pub(crate) token: u64,
    pub(crate) timeout_seconds: Option<u32>,
    /// Whether it gives a key back that holds until it is begun.
    pub(crate) gives_key: bool,
    /// Whether it gives a key back when it has ended.
    has_key: bool,
    is_awaited: bool,
}

pub(crate) const TAKE: &str = "delete from ready where job in {list} returning job";

/// Gives jobs to a node, each to be done by a release; answers which of them were still to be had,
/// in their order.
pub(crate) async fn claim(
    tx: &mut db::Tx,
    node: NodeId,
    jobs: &[(Candidate, &Digest)],
    now: Timestamp,
    expires: Timestamp,
) -> Result<Vec<Claimed>> {
    let wanted = List::of(jobs.iter().map(|(candidate, _)| candidate.job));
    let taken: Vec<JobId> =
        db::query(TAKE).bind(wanted).all(&mut *tx, |row| row.get("job")).await?;
    let taken = List::of(taken);
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let releases: BTreeMap<JobId, &Digest> =
        jobs.iter().map(|(candidate, release)| (candidate.job, *release)).collect();
    let claimed = db::query(
        "select id, lane, payload, attempts, token, timeout_seconds, unique_until, is_awaited
         from job where id in {list}",
    )
    .bind(taken)
    .all(&mut *tx, |row| read_claimed(row, &releases))
    .await?;
    let mut claimed: BTreeMap<JobId, Claimed> =
        claimed.into_iter().map(|claimed| (claimed.job, claimed)).collect();
    let claimed: Vec<Claimed> =
        jobs.iter().filter_map(|(candidate, _)| claimed.remove(&candidate.job)).collect();
    insert_leases(tx, node, &claimed, (now, expires)).await?;
    Ok(claimed)
}

fn read_claimed(row: &db::Row, releases: &BTreeMap<JobId, &Digest>) -> Result<Claimed> {
    let job: JobId = row.get("id")?;
    let release = releases.get(&job).ok_or_else(|| db::Error::encode("id", job))?;
    let until: Option<String> = row.get("unique_until")?;
    Ok(Claimed {
        job,
        lane: row.get("lane")?,
        release: (*release).clone(),
        payload: row.json("payload")?,
        attempts: row.get::<u32>("attempts")?.saturating_add(1),
        token: row.get::<u64>("token")?.saturating_add(1),
        timeout_seconds: row.get("timeout_seconds")?,
        gives_key: until.as_deref() == Some("started"),
        has_key: until.as_deref() == Some("ended"),
        is_awaited: row.get("is_awaited")?,
    })
}

async fn insert_leases(
    tx: &mut db::Tx,
    node: NodeId,
    claimed: &[Claimed],
    (now, expires): (Timestamp, Timestamp),
) -> Result<()> {
    let mut rows =
        Rows::new(&["job", "lane", "token", "attempts", "release", "has_key", "is_awaited"]);
    for Claimed { job, lane, token, attempts, release, has_key, is_awaited, .. } in claimed {
        rows.push(row![*job, *lane, *token, *attempts, release, *has_key, *is_awaited]);
    }
    db::query(
        "insert into lease (job, lane, node, token, attempts, release, started, expires, cancelled,
         output, has_key, is_awaited) select job, lane, ?, token, attempts, release, ?, ?, ?, '',
         has_key, is_awaited from {rows} as r",
    )
    .bind(node)
    .bind(now)
    .bind(expires)
    .bind(false)
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

/// The leases of a node: which job, and its token.
pub(crate) async fn leases_of(on: impl On, node: NodeId) -> Result<Vec<(JobId, u64)>> {
    db::query("select job, token from lease where node = ?")
        .bind(node)
        .all(on, |row| Ok((row.get("job")?, row.get("token")?)))
        .await
}

pub(crate) const EXPIRED: &str =
    "select job from lease where expires <= ? order by expires limit ?";

/// The jobs whose leases ran out, the longest expired first.
pub(crate) async fn expired(on: impl On, now: Timestamp, limit: u32) -> Result<Vec<JobId>> {
    db::query(EXPIRED).bind(now).bind(limit).all(on, |row| row.get("job")).await
}

/// When the next lease runs out.
pub(crate) async fn next_expiry(on: impl On) -> Result<Option<Timestamp>> {
    db::query("select expires from lease order by expires limit 1")
        .optional(on, |row| row.get("expires"))
        .await
}

/// Keeps that leases hold on, and what was told with it.
pub(crate) async fn renew(
    tx: &mut db::Tx,
    told: &[(JobId, String, Option<&Progress>)],
    expires: Timestamp,
) -> Result<()> {
    let mut rows = Rows::new(&["job", "output", "progress"]);
    for (job, output, progress) in told {
        rows.push(row![*job, output, progress.map(document).transpose()?]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    db::query(
        "update lease set expires = ?, output = r.output,
         progress = coalesce(r.progress, lease.progress) from {rows} as r
         where lease.job = r.job and lease.job in {list}",
    )
    .bind(expires)
    .bind(rows)
    .bind(List::of(told.iter().map(|(job, ..)| *job)))
    .run(tx)
    .await
    .map(drop)
}

/// As it is kept.
pub(super) fn document(progress: &Progress) -> Result<String> {
    serde_json::to_string(progress).map_err(|cause| db::Error::encode("progress", cause))
}

/// Running jobs are to be stopped.
pub(crate) async fn set_cancelled(tx: &mut db::Tx, jobs: &[JobId]) -> Result<()> {
    let jobs = List::of(jobs.iter().copied());
    if jobs.is_empty() {
        return Ok(());
    }
    db::query("update lease set cancelled = ? where job in {list}")
        .bind(true)
        .bind(jobs)
        .run(tx)
        .await
        .map(drop)
}

/// The jobs of an instance that run, those of set-ups aside, are to be stopped.
pub(crate) async fn stop(tx: &mut db::Tx, instance: InstanceId) -> Result<()> {
    db::query(
        "update lease set stopped = ? where lane in (select lane.id from lane
         join kind on kind.id = lane.kind where lane.instance = ? and kind.class <> 'setup')",
    )
    .bind(true)
    .bind(instance)
    .run(tx)
    .await
    .map(drop)
}

/// By its jobs: among all of a node's are those that have ended lately.
pub(crate) const END_LEASES: &str = "delete from lease
    where job in {list} and node || '' = ? and token = ?
    returning job, lane, attempts, release, started, progress, has_key, is_awaited";

/// An attempt whose lease has ended, with what follows when its job has succeeded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempted {
    pub(crate) job: JobId,
    pub(crate) lane: i64,
    pub(crate) attempts: u32,
    pub(crate) release: Digest,
    pub(crate) started: Timestamp,
    pub(crate) progress: Option<Progress>,
    pub(crate) has_key: bool,
    pub(crate) is_awaited: bool,
}

fn read_attempted(row: &db::Row) -> Result<Attempted> {
    let told: Option<String> = row.get("progress")?;
    Ok(Attempted {
        job: row.get("job")?,
        lane: row.get("lane")?,
        attempts: row.get("attempts")?,
        release: row.get("release")?,
        started: row.get("started")?,
        progress: told.map(|_| row.json("progress")).transpose()?,
        has_key: row.get("has_key")?,
        is_awaited: row.get("is_awaited")?,
    })
}

/// Ends the leases that the node has under these tokens, of jobs that have succeeded; answers
/// which there were, and whose the jobs of each lane are. What becomes of them is written in the same
/// transaction.
pub(crate) async fn end_leases(
    tx: &mut db::Tx,
    node: NodeId,
    leases: &[(JobId, u64)],
) -> Result<(Vec<Attempted>, BTreeMap<i64, Whose>)> {
    let mut by_token: BTreeMap<u64, Vec<JobId>> = BTreeMap::new();
    for (job, token) in leases {
        by_token.entry(*token).or_default().push(*job);
    }
    if by_token.len() > 1 {
        lock_leases(tx, List::of(leases.iter().map(|(job, _)| *job))).await?;
    }
    let mut ended = Vec::new();
    for (token, jobs) in by_token {
        let asked = db::query(END_LEASES).bind(List::of(jobs)).bind(node).bind(token);
        ended.extend(asked.all(&mut *tx, read_attempted).await?);
    }
    let lanes = ended.iter().map(|attempt| attempt.lane).collect();
    let lanes = whose(tx, lanes).await?;
    Ok((ended, lanes))
}

/// What a job has come to that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Success {
    pub(crate) attempt: Attempted,
    pub(crate) output: String,
    /// JSON.
    pub(crate) result: Option<String>,
    pub(crate) forget: Timestamp,
}

/// Jobs have succeeded, whose leases the node had.
pub(crate) async fn insert_successes(
    tx: &mut db::Tx,
    node: NodeId,
    successes: &[Success],
    now: Timestamp,
) -> Result<()> {
    let mut rows = Rows::new(&[
        "job", "attempts", "release", "started", "forget", "output", "progress", "result",
    ]);
    for Success { attempt, output, result, forget } in successes {
        rows.push(row![
            attempt.job,
            attempt.attempts,
            &attempt.release,
            attempt.started,
            *forget,
            output,
            attempt.progress.as_ref().map(document).transpose()?,
            result.as_deref(),
        ]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    db::query(
        "insert into success (job, node, attempts, release, started, ended, forget, output,
         progress, result) select job, ?, attempts, release, started, ?, forget, output,
         progress, result from {rows} as r",
    )
    .bind(node)
    .bind(now)
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}
