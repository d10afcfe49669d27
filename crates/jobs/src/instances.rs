//! Whose instances there are, and what becomes of the jobs of those that end.

use api::{
    Empty,
    jobs::{CountJobsLeft, InstanceState, JobsLeft, PutInstance, QuietInstance, StillRunning},
};
use chassis::{Call, Next, Room, Write};
use types::InstanceId;

use crate::{
    Error, State as Memory,
    fates::{Settled, settle},
    model::{Fate, State},
    releases::definitions_of,
    schedules::follow_instance,
    store,
};

const AT_ONCE: u32 = 500;

pub(crate) async fn put_instance(cx: &mut Write<Memory>, op: PutInstance) -> Result<Empty, Error> {
    let known = store::instance(cx.tx(), op.instance).await?;
    if known.is_some_and(|known| has_ended(&known.state)) {
        return Ok(Empty {});
    }
    let state = match op.state {
        InstanceState::Open => "open",
        InstanceState::Closed => "closed",
        InstanceState::Ended => "ending",
    };
    let is_closed = op.state != InstanceState::Open;
    store::put_instance(cx.tx(), &op, state).await?;
    store::set_lanes(cx.tx(), op.instance, &op.release, is_closed).await?;
    // Whoever tells of a release that is not the current one here yet tells it again.
    let known = definitions_of(cx, &op.service, Some(&op.release)).await?;
    let most = known.jobs.iter().map(|(name, job)| (name.clone(), job.concurrency_per_instance));
    store::set_most(cx.tx(), &op.service, op.instance, &most.collect()).await?;
    follow_instance(cx, &op, &known.jobs).await?;
    cx.state().in_use.add(&op.service, &op.release);
    Ok(Empty {})
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

/// Whether nothing more is done for an instance.
pub(crate) fn has_ended(state: &str) -> bool {
    matches!(state, "ending" | "ended")
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
