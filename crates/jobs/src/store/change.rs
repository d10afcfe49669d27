//! What becomes of jobs, written.

use std::collections::BTreeMap;

use api::jobs::Progress;
use db::{List, On, Rows, row};
use types::{JobId, Timestamp};

use super::{
    Entry, Result, entries,
    leases::{document, offer, withdraw},
};
use crate::model::State;

/// How a job is from now on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// As it was, with its last attempt.
    pub(crate) entry: Entry,
    pub(crate) state: State,
    pub(crate) not_before: Timestamp,
    pub(crate) lost: u32,
    pub(crate) problem: Option<String>,
    /// As it was, if absent.
    pub(crate) output: Option<String>,
    /// As it was, if absent.
    pub(crate) progress: Option<Progress>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) forget: Option<Timestamp>,
}

/// Nobody holds them afterwards.
pub(crate) async fn change(tx: &mut db::Tx, changes: &[Change]) -> Result<()> {
    let mut rows = Rows::new(&[
        "id",
        "state",
        "not_before",
        "attempts",
        "token",
        "node",
        "release",
        "started",
        "lost",
        "problem",
        "output",
        "progress",
        "ended",
        "forget",
    ]);
    for change in changes {
        let entry = &change.entry;
        rows.push(row![
            entry.job,
            change.state.word(),
            change.not_before,
            entry.attempts,
            entry.token,
            entry.node,
            entry.release.as_ref(),
            entry.started,
            change.lost,
            change.problem.as_deref(),
            change.output.as_deref(),
            change.progress.as_ref().map(document).transpose()?,
            change.ended,
            change.forget,
        ]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let jobs = List::of(changes.iter().map(|change| change.entry.job));
    db::query(
        "update job set state = r.state, not_before = r.not_before, attempts = r.attempts,
         token = r.token, node = r.node, release = r.release, started = r.started, lost = r.lost,
         problem = r.problem, ended = r.ended, forget = r.forget,
         output = coalesce(r.output, lease.output, job.output),
         progress = coalesce(r.progress, case when lease.job is null then job.progress
         else lease.progress end)
         from {rows} as r left join lease on lease.job = r.id
         where job.id = r.id and job.id in {list}",
    )
    .bind(rows)
    .bind(jobs.clone())
    .run(&mut *tx)
    .await?;
    withdraw(tx, jobs.clone()).await?;
    offer(tx, jobs).await
}

pub(crate) const SET_STATES: &str = "update job set state = r.state from {rows} as r
    where job.id = r.id and job.id in {list}";

/// Moves jobs to another state and changes nothing else.
pub(crate) async fn set_states(tx: &mut db::Tx, states: &[(JobId, State)]) -> Result<()> {
    let mut rows = Rows::new(&["id", "state"]);
    for (job, state) in states {
        rows.push(row![*job, state.word()]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let jobs = List::of(states.iter().map(|(job, _)| *job));
    db::query(SET_STATES).bind(rows).bind(jobs.clone()).run(&mut *tx).await?;
    offer(tx, jobs).await
}

/// A job is tried again from the beginning, in a lane that its service has today.
pub(crate) async fn replay(tx: &mut db::Tx, jobs: &[(Entry, State)]) -> Result<()> {
    let mut rows = Rows::new(&["id", "lane", "state"]);
    for (entry, state) in jobs {
        rows.push(row![entry.job, entry.lane, state.word()]);
    }
    let jobs = List::of(jobs.iter().map(|(entry, _)| entry.job));
    db::query(
        "update job set lane = r.lane, state = r.state, attempts = 0, lost = 0, problem = null,
         result = null, progress = null, ended = null, forget = null, blocked_by = 0
         from {rows} as r where job.id = r.id and job.id in {list}",
    )
    .bind(rows)
    .bind(jobs.clone())
    .run(&mut *tx)
    .await?;
    offer(tx, jobs).await
}

/// Jobs wait for earlier ones.
pub(crate) async fn insert_awaited(tx: &mut db::Tx, waits: &[(JobId, JobId)]) -> Result<()> {
    let mut rows = Rows::new(&["earlier", "job"]);
    for (earlier, job) in waits {
        rows.push(row![*earlier, *job]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let earlier = List::of(waits.iter().map(|(earlier, _)| *earlier));
    db::query("insert into awaited (earlier, job) select earlier, job from {rows} as r")
        .bind(rows)
        .run(&mut *tx)
        .await?;
    let asked = db::query("update job set is_awaited = ? where id in {list}");
    asked.bind(true).bind(earlier.clone()).run(&mut *tx).await?;
    let asked = db::query("update lease set is_awaited = ? where job in {list}");
    asked.bind(true).bind(earlier).run(tx).await.map(drop)
}

/// Those who waited for these jobs, which have ended, wait for them no more; answers who they are,
/// locked, with how many of these jobs each has waited for.
pub(crate) async fn take_followers(tx: &mut db::Tx, ended: &[JobId]) -> Result<Vec<(Entry, u64)>> {
    let ended = List::of(ended.iter().copied());
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let followers: Vec<JobId> =
        db::query("delete from awaited where earlier in {list} returning job")
            .bind(ended)
            .all(&mut *tx, |row| row.get("job"))
            .await?;
    let mut counts: BTreeMap<JobId, u64> = BTreeMap::new();
    for follower in followers {
        *counts.entry(follower).or_default() += 1;
    }
    let entries = entries(tx, counts.keys().copied()).await?;
    let counted = entries.into_iter().map(|entry| {
        let count = counts[&entry.job];
        (entry, count)
    });
    Ok(counted.collect())
}

/// Jobs wait for fewer others.
pub(crate) async fn set_blocked(tx: &mut db::Tx, jobs: &[(JobId, u64, State)]) -> Result<()> {
    let mut rows = Rows::new(&["id", "blocked_by", "state"]);
    for (job, blocked_by, state) in jobs {
        rows.push(row![*job, *blocked_by, state.word()]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let jobs = List::of(jobs.iter().map(|(job, ..)| *job));
    db::query(
        "update job set blocked_by = r.blocked_by, state = r.state from {rows} as r
         where job.id = r.id and job.id in {list}",
    )
    .bind(rows)
    .bind(jobs.clone())
    .run(&mut *tx)
    .await?;
    offer(tx, jobs).await
}

/// The name of a job that this one waits for.
pub(crate) async fn name_of_earlier(on: impl On, job: JobId) -> Result<Option<String>> {
    db::query(
        "select job.name from awaited join job on job.id = awaited.earlier
         where awaited.job = ? order by job.id limit 1",
    )
    .bind(job)
    .optional(on, |row| row.get("name"))
    .await
}

/// The ends of jobs are to be told.
pub(crate) async fn insert_untold(tx: &mut db::Tx, jobs: &[JobId]) -> Result<()> {
    let rows = Rows::of(&["job"], jobs.iter().copied());
    if rows.is_empty() {
        return Ok(());
    }
    db::query(
        "insert into untold (job) select job from {rows} as r where true
         on conflict (job) do nothing",
    )
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn delete_untold(on: impl On, job: JobId) -> Result<()> {
    db::query("delete from untold where job = ?").bind(job).run(on).await.map(drop)
}

/// Jobs whose ends have not been told.
pub(crate) async fn untold(on: impl On, limit: u32) -> Result<Vec<JobId>> {
    db::query("select job from untold order by job limit ?")
        .bind(limit)
        .all(on, |row| row.get("job"))
        .await
}
