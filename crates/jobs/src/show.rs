//! Jobs as others see them.

use api::jobs::{GetInstanceJob, GetJob, Job, JobState, ListInstanceJobs, ListJobs};
use chassis::Call;
use serde_json::Value;
use types::{Cursor, Page};

use crate::{
    Error, State as Memory,
    store::{self, Filter},
};

pub(crate) async fn get_job(cx: Call<Memory>, op: GetJob) -> Result<Job, Error> {
    let job = store::job(cx.db(), op.job).await?.ok_or(Error::Missing)?;
    let waits_for = waits_for(&cx, &job).await?;
    Ok(Job { waits_for, ..job })
}

pub(crate) async fn get_instance_job(cx: Call<Memory>, op: GetInstanceJob) -> Result<Job, Error> {
    let job = get_job(cx, GetJob { job: op.job }).await?;
    let own = (job.account, job.instance) == (op.account, op.instance);
    if own { Ok(job) } else { Err(Error::Missing) }
}

async fn waits_for(cx: &Call<Memory>, job: &Job) -> Result<Option<String>, Error> {
    let Job { service, class, name, version, .. } = job;
    let queue = store::queue_shown(cx.db(), service, class).await?;
    let waits_for = match job.state {
        JobState::Blocked => {
            let earlier = store::name_of_earlier(cx.db(), job.job).await?;
            let earlier = earlier.map_or_else(String::new, |name| format!(" `{name}`"));
            format!("the job{earlier} before it")
        }
        JobState::Held if store::is_gated(cx.db(), job.instance).await? => {
            "its instance to be on another release".to_owned()
        }
        JobState::Held => "the queue's gate to open".to_owned(),
        JobState::Stranded => {
            format!("a release of `{service}` that accepts version {version} of `{name}`")
        }
        JobState::Delayed if job.attempts > 0 => {
            format!("its next attempt, at {}", job.not_before)
        }
        JobState::Delayed => format!("its time, {}", job.not_before),
        JobState::Ready if queue.is_some_and(|queue| queue.paused) => {
            format!("the operator, who has paused the queue `{class}` of `{service}`")
        }
        JobState::Ready if store::is_closed(cx.db(), job.job).await? => {
            "its instance, which is closed".to_owned()
        }
        JobState::Ready => {
            format!("a machine with a free place on which a release of `{service}` is ready")
        }
        _ => return Ok(None),
    };
    Ok(Some(waits_for))
}

/// So many bytes of payloads a list has at most.
const LISTED_BYTES_MAX: usize = 4 << 20;

/// As they are listed: of what was set aside somebody decides by what it says.
fn brief(jobs: Vec<Job>) -> Vec<Job> {
    let mut left = LISTED_BYTES_MAX;
    let brief = |mut job: Job| {
        let bytes = job.payload.to_string().len();
        if job.state == JobState::SetAside && bytes <= left {
            left -= bytes;
        } else {
            job.payload = Value::Null;
        }
        Job { result: None, ..job }
    };
    jobs.into_iter().map(brief).collect()
}

pub(crate) async fn list_instance_jobs(
    cx: Call<Memory>,
    op: ListInstanceJobs,
) -> Result<Page<Job>, Error> {
    let (of, cursor) = (Some((op.account, op.instance)), op.cursor());
    list(cx, Filter { of, service: None, state: op.state, name: op.name }, cursor).await
}

pub(crate) async fn list_jobs(cx: Call<Memory>, op: ListJobs) -> Result<Page<Job>, Error> {
    let cursor = op.cursor();
    list(cx, Filter { of: None, service: op.service, state: op.state, name: op.name }, cursor).await
}

async fn list(cx: Call<Memory>, filter: Filter, cursor: Cursor) -> Result<Page<Job>, Error> {
    let jobs = store::jobs(cx.db(), &filter, &cursor).await?;
    Ok(Page::cut(brief(jobs), &cursor, |job| job.job.to_string()))
}
