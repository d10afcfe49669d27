//! A service that serves many instances from one process asks for their jobs in its own name.

use api::jobs::{
    CancelJob, CancelServiceJob, EnqueueJobs, EnqueueServiceJobs, Enqueued, GetInstanceJob,
    GetServiceJob, Job,
};
use chassis::{Call, Write};

use crate::{
    Error, State, again::cancel_job, enqueue::enqueue_jobs, show::get_instance_job, store,
};

pub(crate) async fn enqueue(
    cx: &mut Write<State>,
    op: EnqueueServiceJobs,
) -> Result<Enqueued, Error> {
    let EnqueueServiceJobs { service, instance, jobs } = op;
    let account = store::account_of(cx.tx(), &service, instance).await?;
    let account = account.ok_or(Error::NoInstance)?;
    enqueue_jobs(cx, EnqueueJobs { account, instance, jobs }).await
}

pub(crate) async fn get(cx: Call<State>, op: GetServiceJob) -> Result<Job, Error> {
    let GetServiceJob { service, instance, job } = op;
    let account = store::account_of(cx.db(), &service, instance).await?;
    let account = account.ok_or(Error::NoInstance)?;
    get_instance_job(cx, GetInstanceJob { account, instance, job }).await
}

pub(crate) async fn cancel(cx: &mut Write<State>, op: CancelServiceJob) -> Result<Job, Error> {
    let CancelServiceJob { service, instance, job } = op;
    let account = store::account_of(cx.tx(), &service, instance).await?;
    let account = account.ok_or(Error::NoInstance)?;
    cancel_job(cx, CancelJob { account, instance, job }).await
}
