//! Leases: a job is one worker's until it reports the end or its lease runs out.

use std::{collections::BTreeSet, time::Duration};

use api::{
    billing::{JOB_MILLISECONDS, UsageEvent},
    jobs::{
        Job, JobState, Lease, LeaseJobs, Leases, Outcome, Report, ReportJobs, Reported, Reports,
        Verdict,
    },
};
use chassis::{Call, Next, Room, Write};
use types::{NodeId, Timestamp};

use crate::{
    Error, State,
    store::{self, Lane, Seen, Stored},
};

const LEASE_SECONDS: u32 = 15;
const SLOTS_MAX: u32 = 100;
const RELEASES_MAX: usize = 1_000;
const AT_ONCE: u32 = 100;
/// So many attempts may be lost with their worker.
const LOST_MAX: u32 = 10;
const WAIT_MILLIS_MAX: u32 = 5_000;
const OUTPUT_BYTES_MAX: usize = 8 << 10;
/// Between attempts; doubled after each.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn lease_jobs(cx: Call<State>, op: LeaseJobs) -> Result<Leases, Error> {
    let patience = Duration::from_millis(op.wait_millis.min(WAIT_MILLIS_MAX).into());
    let waiting = tokio::time::sleep(patience);
    tokio::pin!(waiting);
    take_back(&cx, &op).await?;
    let releases = &op.releases[..op.releases.len().min(RELEASES_MAX)];
    loop {
        // Listening before looking: a job that is put meanwhile ends the wait.
        let change = cx.changed();
        tokio::pin!(change);
        change.as_mut().enable();
        let lanes = store::lanes(cx.db(), releases, cx.now()).await?;
        // Who finds nothing does not hold up those who write.
        if !lanes.is_empty() {
            let mut write = cx.begin().await?;
            let leases = take(&mut write, &op, lanes).await?;
            if !leases.is_empty() {
                return Ok(write.finish(Leases { leases }).await?);
            }
        }
        tokio::select! {
            () = &mut waiting => return Ok(Leases { leases: Vec::new() }),
            () = change => {}
        }
    }
}

/// What the node should have and has not, it will never report.
async fn take_back(cx: &Call<State>, op: &LeaseJobs) -> Result<(), Error> {
    for seen in store::leases_of(cx.db(), op.node).await? {
        if !op.holding.contains(&seen.0) {
            give_back_unless_changed(cx, seen, |_| true).await?;
        }
    }
    Ok(())
}

/// Gives a job back in a transaction of its own, unless it has changed hands or is not `lost`.
async fn give_back_unless_changed(
    room: &Room<State>,
    (job, token): Seen,
    lost: impl Fn(&Stored) -> bool,
) -> Result<(), Error> {
    let mut write = room.begin().await?;
    let stored = store::job_to_change(write.tx(), job).await?;
    let held = |stored: &Stored| {
        (stored.job.state, stored.token) == (JobState::Running, token) && lost(stored)
    };
    let Some(mut stored) = stored.filter(held) else { return Ok(()) };
    stored.job.lost += 1;
    give_back(&mut write, stored).await?;
    Ok(write.commit().await?)
}

/// The free slots are shared out evenly, and what a queue cannot use is another's.
async fn take(
    write: &mut Write<State>,
    op: &LeaseJobs,
    lanes: Vec<Lane>,
) -> Result<Vec<Lease>, Error> {
    let now = write.now();
    let slots = op.slots.min(SLOTS_MAX) as usize;
    let (mut leases, mut served, mut open) = (Vec::new(), BTreeSet::new(), lanes);
    while leases.len() < slots && !open.is_empty() {
        let share = ((slots - leases.len()) / open.len()).max(1);
        let mut more = Vec::new();
        for lane in open {
            let limit = share.min(slots - leases.len());
            if limit == 0 {
                break;
            }
            let jobs = store::due_jobs(write.tx(), &lane.release, now, limit).await?;
            if !jobs.is_empty() {
                served.insert(lane.service.clone());
            }
            if jobs.len() == limit {
                more.push(lane);
            }
            for stored in jobs {
                leases.push(lease(write, op.node, stored, now).await?);
            }
        }
        open = more;
    }
    // In the order of their names, so that no two workers wait for each other.
    for service in served {
        store::set_served(write.tx(), &service).await?;
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
        job: stored.job.job,
        account: stored.job.account,
        instance: stored.job.instance,
        service: stored.job.service,
        release: stored.job.release.unwrap_or_else(|| types::Digest::of(b"")),
        name: stored.job.name,
        version: stored.job.version,
        attempt: stored.job.attempts,
        token: stored.token,
        payload: serde_json::Value::Null,
        upgrade: None,
        command: stored.command,
        timeout_seconds: stored.timeout_seconds,
        lease_seconds: LEASE_SECONDS,
    })
}

pub(crate) async fn report_jobs(cx: &mut Write<State>, op: ReportJobs) -> Result<Reports, Error> {
    let mut reports = Vec::new();
    for report in op.reports {
        let job = report.job;
        reports.push(Reported { job, verdict: take_report(cx, op.node, report).await? });
    }
    Ok(Reports { reports })
}

async fn take_report(cx: &mut Write<State>, node: NodeId, op: Report) -> Result<Verdict, Error> {
    let stored = store::job_to_change(cx.tx(), op.job).await?;
    let mine = |stored: &Stored| {
        (stored.job.state, stored.job.node, stored.token)
            == (JobState::Running, Some(node), op.token)
    };
    let Some(mut stored) = stored.filter(mine) else { return Ok(Verdict::Lost) };
    let now = cx.now();
    stored.job.output = end_of(&op.output);
    match op.outcome {
        Outcome::Running => {
            stored.lease_expires = now.plus(Duration::from_secs(LEASE_SECONDS.into()));
            store::update_job(cx.tx(), &stored).await?;
        }
        Outcome::Succeeded => {
            // Nobody pays for an attempt that came to nothing.
            store::append_usage(cx.tx(), &usage_of(&stored, now)).await?;
            end(cx, stored, JobState::Succeeded, None).await?;
        }
        Outcome::Again | Outcome::Refused | Outcome::Cancelled => {
            give_back(cx, stored).await?;
        }
        Outcome::Lost => {
            stored.job.lost += 1;
            give_back(cx, stored).await?;
        }
    }
    Ok(Verdict::Kept)
}

/// The job waits for another attempt, or has failed for good. An attempt that was lost says nothing
/// about the job, so such attempts are counted apart.
async fn give_back(write: &mut Write<State>, stored: Stored) -> Result<JobState, Error> {
    let mut stored = stored;
    let Job { attempts, lost, .. } = stored.job;
    let failed = attempts.saturating_sub(lost);
    if failed >= stored.job.attempts_max || lost >= LOST_MAX {
        let problem = if lost >= LOST_MAX {
            format!("it was lost with its machine {lost} times")
        } else {
            format!("it was tried {failed} times, and failed each time")
        };
        return end(write, stored, JobState::Failed, Some(problem)).await;
    }
    stored.job.state = JobState::Ready;
    let doubled = 1 << attempts.saturating_sub(1).min(8);
    stored.job.not_before = write.now().plus(PAUSE * doubled);
    store::update_job(write.tx(), &stored).await?;
    Ok(JobState::Ready)
}

/// The job has ended, and what waited for it goes on or has failed with it.
async fn end(
    write: &mut Write<State>,
    stored: Stored,
    state: JobState,
    problem: Option<String>,
) -> Result<JobState, Error> {
    let (mut stored, now) = (stored, write.now());
    stored.job.state = state;
    stored.job.problem = problem;
    stored.job.ended = Some(now);
    let (job, name) = (stored.job.job, stored.job.name.clone());
    store::update_job(write.tx(), &stored).await?;
    store::insert_untold(write.tx(), job).await?;
    if state == JobState::Succeeded {
        store::let_followers_go(write.tx(), job).await?;
        return Ok(state);
    }
    let mut failed = vec![job];
    while let Some(before) = failed.pop() {
        let problem = after_a_failure(&name);
        for job in store::fail_followers(write.tx(), before, &problem, now).await? {
            store::insert_untold(write.tx(), job).await?;
            failed.push(job);
        }
    }
    Ok(state)
}

/// Why a job is not begun.
pub(crate) fn after_a_failure(before: &str) -> String {
    format!("`{before}`, which comes before it, failed")
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
    let expired = store::leases_expired(room.db(), now, AT_ONCE).await?;
    if expired.is_empty() {
        let next = store::next_expiry(room.db()).await?;
        return Ok(next.map_or(Next::Idle, |next| Next::In(next.since(now))));
    }
    for seen in expired {
        give_back_unless_changed(&room, seen, |stored| stored.lease_expires <= now).await?;
    }
    Ok(Next::Now)
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
