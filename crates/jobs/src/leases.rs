//! Leases: a job is one worker's until it reports the end or its lease runs out.

use std::time::Duration;

use api::{
    billing::{JOB_MILLISECONDS, UsageEvent},
    jobs::{JobState, Lease, LeaseJobs, Leases, Outcome, ReportJob, Reported},
};
use chassis::{Call, Next, Room, Write};
use types::{NodeId, Timestamp};

use crate::{
    Error, State,
    store::{self, Stored},
};

const LEASE_SECONDS: u32 = 15;
const SLOTS_MAX: u32 = 100;
const WAIT_MILLIS_MAX: u32 = 5_000;
const OUTPUT_BYTES_MAX: usize = 8 << 10;
/// Between attempts; doubled after each.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn lease_jobs(cx: Call<State>, op: LeaseJobs) -> Result<Leases, Error> {
    let patience = Duration::from_millis(op.wait_millis.min(WAIT_MILLIS_MAX).into());
    let waiting = tokio::time::sleep(patience);
    tokio::pin!(waiting);
    take_back(&cx, &op).await?;
    loop {
        // Listening before looking: a job that is put meanwhile ends the wait.
        let change = cx.changed();
        tokio::pin!(change);
        change.as_mut().enable();
        let mut write = cx.begin().await?;
        let leases = take(&mut write, &op).await?;
        if !leases.is_empty() {
            return Ok(write.finish(Leases { leases }).await?);
        }
        drop(write);
        tokio::select! {
            () = &mut waiting => return Ok(Leases { leases: Vec::new() }),
            () = change => {}
        }
    }
}

/// What the node should have and has not, it will never report.
async fn take_back(cx: &Call<State>, op: &LeaseJobs) -> Result<(), Error> {
    let lost =
        |stored: &Stored| stored.job.node == Some(op.node) && !op.holding.contains(&stored.job.job);
    let running = store::jobs_running(cx.db()).await?;
    for seen in running.into_iter().filter(lost) {
        give_back_unless_changed(cx, &seen, |_| true).await?;
    }
    Ok(())
}

/// Gives a job back in a transaction of its own, unless it has changed hands or is not `lost`.
async fn give_back_unless_changed(
    room: &Room<State>,
    seen: &Stored,
    lost: impl Fn(&Stored) -> bool,
) -> Result<(), Error> {
    let mut write = room.begin().await?;
    let now = write.now();
    let stored = store::job_to_change(write.tx(), seen.job.job).await?;
    let held = |stored: &Stored| {
        (stored.job.state, stored.token) == (JobState::Running, seen.token) && lost(stored)
    };
    let Some(mut stored) = stored.filter(held) else { return Ok(()) };
    give_back(&mut stored, now);
    store::update_job(write.tx(), &stored).await?;
    Ok(write.commit().await?)
}

async fn take(write: &mut Write<State>, op: &LeaseJobs) -> Result<Vec<Lease>, Error> {
    let now = write.now();
    let slots = op.slots.min(SLOTS_MAX);
    let mut leases = Vec::new();
    for release in op.releases.iter().take(1_000) {
        let free = slots.saturating_sub(u32::try_from(leases.len()).unwrap_or(slots));
        if free == 0 {
            break;
        }
        for stored in store::due_jobs(write.tx(), release, now, free).await? {
            leases.push(lease(write, op.node, stored, now).await?);
        }
    }
    Ok(leases)
}

async fn lease(
    write: &mut Write<State>,
    node: NodeId,
    stored: Stored,
    now: Timestamp,
) -> Result<Lease, Error> {
    let mut stored = stored;
    stored.job.state = JobState::Running;
    stored.job.attempts += 1;
    stored.job.started = Some(now);
    stored.job.node = Some(node);
    stored.token += 1;
    stored.lease_expires = now.plus(Duration::from_secs(LEASE_SECONDS.into()));
    store::update_job(write.tx(), &stored).await?;
    Ok(Lease {
        job: stored.job,
        token: stored.token,
        command: stored.command,
        timeout_seconds: stored.timeout_seconds,
        lease_seconds: LEASE_SECONDS,
    })
}

pub(crate) async fn report_job(cx: &mut Write<State>, op: ReportJob) -> Result<Reported, Error> {
    let stored = store::job_to_change(cx.tx(), op.job).await?;
    let mut stored = stored.ok_or(Error::Missing)?;
    let held = (stored.job.state, stored.job.node, stored.token)
        == (JobState::Running, Some(op.node), op.token);
    if !held {
        return Err(Error::LeaseLost(op.job));
    }
    let now = cx.now();
    stored.job.output = end_of(&op.output);
    match op.outcome {
        Outcome::Running => {
            stored.lease_expires = now.plus(Duration::from_secs(LEASE_SECONDS.into()));
        }
        Outcome::Succeeded => {
            stored.job.state = JobState::Succeeded;
            stored.job.ended = Some(now);
        }
        Outcome::Failed => give_back(&mut stored, now),
    }
    store::update_job(cx.tx(), &stored).await?;
    if op.outcome != Outcome::Running {
        let event = usage_of(&stored, now);
        store::append_usage(cx.tx(), &event).await?;
    }
    Ok(Reported { state: stored.job.state })
}

/// The job waits for another attempt, or has failed for good.
fn give_back(stored: &mut Stored, now: Timestamp) {
    if stored.job.attempts >= stored.attempts_max {
        stored.job.state = JobState::Failed;
        stored.job.ended = Some(now);
        return;
    }
    stored.job.state = JobState::Queued;
    let doubled = 1 << stored.job.attempts.saturating_sub(1).min(8);
    stored.not_before = now.plus(PAUSE * doubled);
}

fn usage_of(stored: &Stored, now: Timestamp) -> UsageEvent {
    let took = stored.job.started.map_or(Duration::ZERO, |started| now.since(started));
    UsageEvent {
        event: format!("{}.{}", stored.job.job, stored.job.attempts),
        at: now,
        account: stored.job.account,
        instance: stored.job.instance,
        meter: JOB_MILLISECONDS.to_owned(),
        quantity: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        note: stored.job.name.clone(),
    }
}

fn end_of(output: &str) -> String {
    let mut start = output.len().saturating_sub(OUTPUT_BYTES_MAX);
    while !output.is_char_boundary(start) {
        start += 1;
    }
    // PostgreSQL's text cannot hold a NUL.
    output[start..].replace('\0', "")
}

/// A job whose worker is silent for too long is another worker's. What the lost attempt took is
/// not billed: nobody knows how it went.
pub(crate) async fn expire(room: Room<State>) -> Result<Next, Error> {
    let now = room.now();
    let running = store::jobs_running(room.db()).await?;
    let (expired, held): (Vec<_>, Vec<_>) =
        running.into_iter().partition(|stored| stored.lease_expires <= now);
    for seen in expired {
        give_back_unless_changed(&room, &seen, |stored| stored.lease_expires <= now).await?;
    }
    Ok(if held.is_empty() { Next::Idle } else { Next::Soon })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_output_is_kept() {
        let long = "é".repeat(OUTPUT_BYTES_MAX);
        let kept = end_of(&long);
        assert!(kept.len() <= OUTPUT_BYTES_MAX && kept.len() > OUTPUT_BYTES_MAX - 4);
        assert_eq!(end_of("a\0b"), "ab");
    }
}
