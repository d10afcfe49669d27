//! Queues and what waits in them.

use api::jobs::{
    GetJob, Job, JobState, ListInstanceJobs, ListJobs, ListQueues, PutJob, Queue, SetQueue,
};
use chassis::{Call, Write};
use types::{Cursor, Page};

use crate::{Error, State, store};

pub(crate) async fn put_job(cx: &mut Write<State>, op: PutJob) -> Result<Job, Error> {
    let words = 1..=100;
    if !words.contains(&op.command.len()) || op.command.iter().any(|word| word.len() > 4_000) {
        return Err(Error::Command);
    }
    if !(1..=100).contains(&op.attempts_max) || !(1..=86_400).contains(&op.timeout_seconds) {
        return Err(Error::Limits);
    }
    let known = store::job(cx.tx(), op.job).await?;
    if let Some(known) = known {
        let same = known.command == op.command
            && (known.job.instance, &known.job.name) == (op.instance, &op.name);
        return if same { Ok(known.job) } else { Err(Error::Different(op.job)) };
    }
    store::put_queue(cx.tx(), &op.service).await?;
    let job = Job {
        job: op.job,
        account: op.account,
        instance: op.instance,
        service: op.service.clone(),
        release: op.release.clone(),
        name: op.name.clone(),
        state: JobState::Queued,
        attempts: 0,
        output: String::new(),
        created: cx.now(),
        started: None,
        ended: None,
        node: None,
    };
    store::insert_job(cx.tx(), &job, &op).await?;
    Ok(job)
}

pub(crate) async fn get_job(cx: Call<State>, op: GetJob) -> Result<Job, Error> {
    let stored = store::job(cx.db(), op.job).await?;
    Ok(stored.ok_or(Error::Missing)?.job)
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
    let changed = store::set_paused(cx.tx(), &op.service, op.paused).await?;
    if !changed {
        return Err(Error::NoQueue(op.service));
    }
    let queue = store::queue(cx.tx(), &op.service).await?;
    queue.ok_or(Error::NoQueue(op.service))
}
