//! Whose instances there are, and what becomes of the jobs of those that end.

use std::collections::BTreeMap;

use api::jobs::{
    BATCH_MAX, CountJobsLeft, Instance, InstanceState, JobsLeft, PutInstances, QuietInstance,
    StillRunning, UnknownReleases,
};
use chassis::{Call, Next, Room, Write};
use types::{Digest, InstanceId};

use crate::{
    Error, State as Memory,
    fates::{Settled, settle},
    model::{Fate, State},
    releases::{Known, known_here},
    schedules::follow_instances,
    store,
};

const AT_ONCE: u32 = 500;

pub(crate) async fn put_instances(
    cx: &mut Write<Memory>,
    op: PutInstances,
) -> Result<UnknownReleases, Error> {
    if op.instances.len() > BATCH_MAX {
        return Err(Error::TooManyInstances);
    }
    let ended = store::instances_ended(cx.tx(), op.instances.keys().copied()).await?;
    store::lock_lanes_of(cx.tx(), op.instances.keys().copied()).await?;
    let mut on: BTreeMap<Digest, BTreeMap<InstanceId, Instance>> = BTreeMap::new();
    for (id, instance) in op.instances.into_iter().filter(|(id, _)| !ended.contains(id)) {
        on.entry(instance.release.clone()).or_default().insert(id, instance);
    }
    let mut unknown = UnknownReleases::default();
    for (release, instances) in on {
        match known_here(cx, &release).await? {
            Some(known) => put_on(cx, (&release, &known), &instances).await?,
            None => drop(unknown.releases.insert(release)),
        }
    }
    Ok(unknown)
}

/// Keeps instances that are on one release.
async fn put_on(
    cx: &mut Write<Memory>,
    (release, known): (&Digest, &Known),
    instances: &BTreeMap<InstanceId, Instance>,
) -> Result<(), Error> {
    store::put_instances(cx.tx(), instances).await?;
    for is_closed in [false, true] {
        let such =
            instances.iter().filter(|(_, it)| is_closed == (it.state != InstanceState::Open));
        store::set_lanes(cx.tx(), such.map(|(id, _)| *id), release, is_closed).await?;
    }
    let most = known.jobs.iter().map(|(name, job)| (name.clone(), job.concurrency_per_instance));
    store::set_most(cx.tx(), &known.service, instances.keys().copied(), &most.collect()).await?;
    follow_instances(cx, instances, &known.jobs).await?;
    cx.state().in_use.add(&known.service, release);
    Ok(())
}

/// Whoever asks has closed the instance before, so what runs now is the last.
pub(crate) async fn quiet_instance(
    cx: Call<Memory>,
    op: QuietInstance,
) -> Result<StillRunning, Error> {
    // What is being handed out is counted when it was.
    let _turn = cx.state().claiming.lock().await;
    let mut write = cx.begin().await?;
    let running = store::running_when_closed(write.tx(), op.instance).await?;
    let running = running.ok_or(Error::NotClosed)?;
    if op.stop && running > 0 {
        store::stop(write.tx(), op.instance).await?;
    }
    Ok(write.finish(StillRunning { running }).await?)
}

/// Whoever asks has closed the instance's gate before, so there come no more.
pub(crate) async fn count_jobs_left(
    cx: Call<Memory>,
    op: CountJobsLeft,
) -> Result<JobsLeft, Error> {
    let left = store::left(cx.db(), op.instance, op.until).await?;
    Ok(JobsLeft { left: left.ok_or(Error::NotGated)? })
}

/// Drops the jobs that wait for instances which have ended, and stops those that run.
pub(crate) async fn drop_jobs(room: Room<Memory>) -> Result<Next, Error> {
    let ending = store::instances_ending(room.db(), AT_ONCE).await?;
    let Some(instance) = ending.first() else { return Ok(Next::Idle) };
    let mut write = room.begin().await?;
    let dropped = drop_some(&mut write, *instance).await?;
    if dropped == 0 {
        store::set_ended(write.tx(), *instance).await?;
    }
    write.commit().await?;
    Ok(Next::Now)
}

async fn drop_some(write: &mut Write<Memory>, instance: InstanceId) -> Result<usize, Error> {
    let mut dropped = 0;
    for lane in store::lanes_of(write.tx(), instance).await? {
        for state in State::WAITING {
            let entries = store::entries_of_lane(write.tx(), lane, state, AT_ONCE).await?;
            dropped += entries.len();
            let problem = || Some("its instance has ended".to_owned());
            let fate = || Fate::Ended { state: State::Dropped, lost: 0, problem: problem() };
            settle(write, entries.into_iter().map(|entry| Settled::of(entry, fate())).collect())
                .await?;
        }
        let running = store::entries_of_lane(write.tx(), lane, State::Running, AT_ONCE).await?;
        let running = running.iter().map(|entry| entry.job).collect::<Vec<_>>();
        store::set_cancelled(write.tx(), &running).await?;
    }
    Ok(dropped)
}
