//! Queues and what waits in them.

use api::jobs::{
    DEFAULT_CLASS, GetInstanceJob, GetJob, Job, JobState, ListInstanceJobs, ListJobs, ListQueues,
    PutJob, Queue, SetQueue,
};
use chassis::{Call, Write};
use types::{Cursor, Page};

use crate::{
    Error, State,
    leases::after_a_failure,
    store::{self, Stored},
};

pub(crate) async fn put_job(cx: &mut Write<State>, op: PutJob) -> Result<Job, Error> {
    let words = 1..=100;
    if !words.contains(&op.command.len()) || op.command.iter().any(|word| word.len() > 4_000) {
        return Err(Error::Command);
    }
    if !(1..=100).contains(&op.attempts_max) || !(1..=86_400).contains(&op.timeout_seconds) {
        return Err(Error::Limits);
    }
    if let Some(known) = store::job_to_change(cx.tx(), op.job).await? {
        return put_again(cx, known, op).await;
    }
    store::put_queue(cx.tx(), &op.service).await?;
    let before = before(cx, &op).await?;
    let now = cx.now();
    let (after, state, problem) = match &before {
        Some(before) if before.state == JobState::Failed => {
            (None, JobState::Failed, Some(after_a_failure(&before.name)))
        }
        Some(before) if before.state == JobState::Succeeded => (None, JobState::Ready, None),
        before => (before.as_ref().map(|before| before.job), JobState::Ready, None),
    };
    let op = PutJob { after, ..op };
    let job = Job {
        job: op.job,
        account: op.account,
        instance: op.instance,
        service: op.service.clone(),
        class: DEFAULT_CLASS.to_owned(),
        release: None,
        name: op.name.clone(),
        version: 1,
        priority: 0,
        state,
        not_before: now,
        attempts: 0,
        attempts_max: op.attempts_max,
        lost: 0,
        progress: None,
        problem,
        waits_for: None,
        payload: serde_json::Value::Null,
        result: None,
        output: String::new(),
        created: now,
        started: None,
        ended: (state == JobState::Failed).then_some(now),
        node: None,
    };
    store::insert_job(cx.tx(), &job, &op).await?;
    if job.ended.is_some() {
        store::insert_untold(cx.tx(), job.job).await?;
    }
    Ok(job)
}

/// The job that must have succeeded before, which cannot end until this one is put.
async fn before(cx: &mut Write<State>, op: &PutJob) -> Result<Option<Job>, Error> {
    let Some(before) = op.after else { return Ok(None) };
    let before = store::job_to_change(cx.tx(), before).await?;
    before.map(|before| Some(before.job)).ok_or(Error::NoneBefore)
}

/// A job that has not ended can be bound to another release; its next attempt is made from that.
async fn put_again(cx: &mut Write<State>, known: Stored, op: PutJob) -> Result<Job, Error> {
    if (known.job.instance, &known.job.name) != (op.instance, &op.name) {
        return Err(Error::Different(op.job));
    }
    let mut known = known;
    let same = (known.job.release.as_ref(), &known.command) == (Some(&op.release), &op.command);
    if !same && known.job.ended.is_none() {
        (known.job.release, known.command) = (Some(op.release), op.command);
        store::update_job(cx.tx(), &known).await?;
    }
    Ok(known.job)
}

pub(crate) async fn get_job(cx: Call<State>, op: GetJob) -> Result<Job, Error> {
    let stored = store::job(cx.db(), op.job).await?;
    let stored = stored.ok_or(Error::Missing)?;
    let waits_for = waits_for(&cx, &stored).await?;
    Ok(Job { waits_for, ..stored.job })
}

async fn waits_for(cx: &Call<State>, stored: &Stored) -> Result<Option<String>, Error> {
    let Job { state, service, release, .. } = &stored.job;
    if !state.waits() {
        return Ok(None);
    }
    if let Some(before) = stored.after {
        let before = store::job(cx.db(), before).await?;
        let name = before.map_or_else(String::new, |before| format!(" `{}`", before.job.name));
        return Ok(Some(format!("the job{name} before it")));
    }
    let queue = store::queue(cx.db(), service).await?;
    Ok(Some(if queue.is_some_and(|queue| queue.paused) {
        format!("the operator, who has paused the queue of `{service}`")
    } else if stored.job.not_before > cx.now() {
        format!("its next attempt, at {}", stored.job.not_before)
    } else {
        format!(
            "a machine with a free place on which release {} is ready",
            release.as_ref().map_or("", types::Digest::short)
        )
    }))
}

pub(crate) async fn list_instance_jobs(
    cx: Call<State>,
    op: ListInstanceJobs,
) -> Result<Page<Job>, Error> {
    let cursor = Cursor { after: op.after, limit: op.limit };
    let jobs = store::jobs_of(cx.db(), op.account, op.instance, &cursor).await?;
    Ok(Page::cut(jobs, &cursor, |job| job.job.to_string()))
}

pub(crate) async fn list_jobs(cx: Call<State>, op: ListJobs) -> Result<Page<Job>, Error> {
    let cursor = Cursor { after: op.after, limit: op.limit };
    let jobs = store::jobs(cx.db(), op.service.as_ref(), &cursor).await?;
    Ok(Page::cut(jobs, &cursor, |job| job.job.to_string()))
}

pub(crate) async fn list_queues(cx: Call<State>, op: ListQueues) -> Result<Page<Queue>, Error> {
    let cursor = Cursor { after: op.after, limit: op.limit };
    let queues = store::queues(cx.db(), &cursor).await?;
    Ok(Page::cut(queues, &cursor, |queue| queue.service.to_string()))
}

pub(crate) async fn set_queue(cx: &mut Write<State>, op: SetQueue) -> Result<Queue, Error> {
    let changed = match op.paused {
        Some(paused) => store::set_paused(cx.tx(), &op.service, paused).await?,
        None => true,
    };
    if !changed {
        return Err(Error::NoQueue(op.service));
    }
    let queue = store::queue(cx.tx(), &op.service).await?;
    queue.ok_or(Error::NoQueue(op.service))
}

pub(crate) async fn get_instance_job(cx: Call<State>, op: GetInstanceJob) -> Result<Job, Error> {
    let job = get_job(cx, GetJob { job: op.job }).await?;
    let own = (job.account, job.instance) == (op.account, op.instance);
    if own { Ok(job) } else { Err(Error::Missing) }
}

pub(crate) async fn not_yet<O: api::Operation>(_: Call<State>, _: O) -> Result<O::Reply, Error> {
    Err(Error::NotYet)
}
