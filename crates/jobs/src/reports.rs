//! What nodes say of the jobs that they have.

use std::{collections::BTreeMap, time::Duration};

use api::jobs::{
    BATCH_MAX, Outcome, Progress, RESULT_BYTES_MAX, Report, ReportJobs, Reported, Reports,
    SETUP_CLASS, Verdict,
};
use chassis::{Next, Room, Write};
use types::{JobId, NodeId, Timestamp};

use crate::{
    Error, State as Memory,
    fates::{Settled, kept, settle, settle_with},
    model::{Attempt, Fate, State, after, shortened},
    releases::known_here,
    store::{self, Entry, Success},
    successes::Successes,
};

/// For how long a lease holds without a report.
pub(crate) const LEASE_SECONDS: u32 = 15;
const AT_ONCE: u32 = 500;
const OUTPUT_BYTES_MAX: usize = 8 << 10;
const PROBLEM_BYTES_MAX: usize = 1_000;
const NOTE_LENGTH_MAX: usize = 200;
/// The pause after the first attempt, if no release says otherwise.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn report_jobs(cx: &mut Write<Memory>, op: ReportJobs) -> Result<Reports, Error> {
    if !(1..=BATCH_MAX).contains(&op.reports.len()) {
        return Err(Error::Batch(op.reports.len()));
    }
    let jobs: Vec<JobId> = op.reports.iter().map(|report| report.job).collect();
    let (mut successes, mut others) = (BTreeMap::new(), BTreeMap::new());
    for report in op.reports {
        // Of two reports in one request the first counts.
        if successes.contains_key(&report.job) || others.contains_key(&report.job) {
            continue;
        }
        let result = report.result.as_ref().map(ToString::to_string);
        let fits = result.as_ref().is_none_or(|result| result.len() <= RESULT_BYTES_MAX);
        let token_fits = i64::try_from(report.token).is_ok();
        if report.outcome == Outcome::Succeeded && fits && token_fits {
            successes.insert(report.job, (report, result));
        } else {
            others.insert(report.job, report);
        }
    }
    let mut verdicts = BTreeMap::new();
    let succeeded = succeeded(cx, op.node, successes).await?;
    verdicts.extend(succeeded.jobs().map(|job| (job, Verdict::Kept)));
    let settled = others_of(cx, op.node, others, &mut verdicts).await?;
    // Nobody pays for an attempt that came to nothing.
    let usage = succeeded.usage(cx.now());
    settle_with(cx, succeeded, settled).await?;
    store::append_usage(cx.tx(), &usage).await?;
    let told = |job| Reported { job, verdict: verdicts.remove(&job).unwrap_or(Verdict::Lost) };
    Ok(Reports { reports: jobs.into_iter().map(told).collect() })
}

/// Takes reports of success, most of all there are, where the jobs are that node's. With each is what
/// came of it, as JSON.
async fn succeeded(
    cx: &mut Write<Memory>,
    node: NodeId,
    mut reports: BTreeMap<JobId, (Report, Option<String>)>,
) -> Result<Successes, Error> {
    let leases: Vec<_> = reports.iter().map(|(job, (report, _))| (*job, report.token)).collect();
    let (ended, lanes) = store::end_leases(cx.tx(), node, &leases).await?;
    let now = cx.now();
    let mut done = Vec::new();
    for mut attempt in ended {
        let Some((report, result)) = reports.remove(&attempt.job) else { continue };
        // A job that is not written down as done would be lost.
        let whose = lanes.get(&attempt.lane);
        let whose = whose.ok_or_else(|| db::Error::encode("lane", attempt.lane))?;
        let kept = kept(cx, Some(&attempt.release), &whose.kind.name).await?;
        attempt.progress = report.progress.map(within_limits).or(attempt.progress);
        done.push(Success {
            attempt,
            output: shortened(&report.output, OUTPUT_BYTES_MAX),
            result,
            forget: now.plus(kept),
        });
    }
    Ok(Successes { node, done, lanes })
}

/// Takes the other reports, where the jobs are that node's; answers what becomes of those that do
/// not run any more.
async fn others_of(
    cx: &mut Write<Memory>,
    node: NodeId,
    mut reports: BTreeMap<JobId, Report>,
    verdicts: &mut BTreeMap<JobId, Verdict>,
) -> Result<Vec<Settled>, Error> {
    let (mut renewed, mut settled) = (Vec::new(), Vec::new());
    for entry in store::entries(cx.tx(), reports.keys().copied()).await? {
        let mine = |report: &Report| {
            (entry.state, entry.node, entry.token) == (State::Running, Some(node), report.token)
        };
        let Some(report) = reports.remove(&entry.job).filter(mine) else { continue };
        let stop = report.outcome == Outcome::Running && (entry.cancelled || entry.stopped);
        verdicts.insert(entry.job, if stop { Verdict::Stop } else { Verdict::Kept });
        if report.outcome == Outcome::Running {
            renewed.push(report);
        } else {
            settled.push(settled_by(cx, entry, report).await?);
        }
    }
    renew(cx, renewed).await?;
    Ok(settled)
}

async fn renew(cx: &mut Write<Memory>, renewed: Vec<Report>) -> Result<(), Error> {
    let told = renewed.into_iter().map(|report| {
        let output = shortened(&report.output, OUTPUT_BYTES_MAX);
        (report.job, output, report.progress.map(within_limits))
    });
    let told: Vec<(JobId, String, Option<Progress>)> = told.collect();
    let told: Vec<_> = told
        .iter()
        .map(|(job, output, progress)| (*job, output.clone(), progress.as_ref()))
        .collect();
    let expires = cx.now().plus(Duration::from_secs(LEASE_SECONDS.into()));
    Ok(store::renew(cx.tx(), &told, expires).await?)
}

fn within_limits(progress: Progress) -> Progress {
    let note = progress
        .note
        .map(|note| note.chars().filter(|letter| *letter != '\0').take(NOTE_LENGTH_MAX).collect());
    Progress { percent: progress.percent.map(|percent| percent.min(100)), note }
}

/// What becomes of a job whose attempt has ended as a node reports. One that has succeeded is here
/// because too much came of it.
async fn settled_by(
    cx: &mut Write<Memory>,
    entry: Entry,
    report: Report,
) -> Result<Settled, Error> {
    let (outcome, problem) = if report.outcome == Outcome::Succeeded {
        let problem = format!("its result is longer than {RESULT_BYTES_MAX} bytes as JSON");
        (Outcome::Refused, Some(problem))
    } else if report.outcome == Outcome::Cancelled && entry.stopped && !entry.cancelled {
        // It says nothing about the job.
        (Outcome::Lost, Some("it was stopped, since its instance moves".to_owned()))
    } else {
        (report.outcome, report.problem.map(|text| shortened(&text, PROBLEM_BYTES_MAX)))
    };
    let now = cx.now();
    let fate = fate_of(cx, &entry, outcome, problem, now).await?;
    Ok(Settled {
        entry,
        fate,
        output: Some(shortened(&report.output, OUTPUT_BYTES_MAX)),
        progress: report.progress.map(within_limits),
    })
}

async fn fate_of(
    cx: &mut Write<Memory>,
    entry: &Entry,
    outcome: Outcome,
    problem: Option<String>,
    now: Timestamp,
) -> Result<Fate, Error> {
    let release = match &entry.release {
        Some(release) => known_here(cx, release).await?,
        None => None,
    };
    let definition = release.as_ref().and_then(|known| known.jobs.get(&entry.name));
    let backoff =
        definition.map_or(PAUSE, |known| Duration::from_secs(known.backoff_seconds.into()));
    let attempt = Attempt {
        job: entry.job,
        attempts: entry.attempts,
        attempts_max: entry.attempts_max,
        lost: entry.lost,
        cancelled: entry.cancelled,
        // A migration that was broken off may have left anything behind.
        once: entry.class == SETUP_CLASS && entry.attempts_max == 1,
        backoff,
    };
    Ok(after(outcome, problem, &attempt, now))
}

/// Gives jobs back whose workers are silent: the attempt is lost. What it took is not billed, for
/// nobody knows how it went.
pub(crate) async fn give_back(
    room: &Room<Memory>,
    jobs: Vec<JobId>,
    is_lost: impl Fn(&Entry) -> bool,
) -> Result<(), Error> {
    for jobs in jobs.chunks(AT_ONCE as usize) {
        let mut write = room.begin().await?;
        let now = write.now();
        let entries = store::entries(write.tx(), jobs.iter().copied()).await?;
        let lost = entries.into_iter().filter(|entry| entry.state == State::Running);
        let mut settled = Vec::new();
        for entry in lost.filter(&is_lost) {
            let problem = Some("its machine was lost, or stopped".to_owned());
            let fate = fate_of(&mut write, &entry, Outcome::Lost, problem, now).await?;
            settled.push(Settled::of(entry, fate));
        }
        settle(&mut write, settled).await?;
        write.commit().await?;
    }
    Ok(())
}

/// A job whose worker is silent for too long is another worker's.
pub(crate) async fn expire(room: Room<Memory>) -> Result<Next, Error> {
    let now = room.now();
    if let Some(rest) = Next::rest(store::next_expiry(room.db()).await?, now) {
        return Ok(rest);
    }
    let expired = store::expired(room.db(), now, AT_ONCE).await?;
    let is_lost = |entry: &Entry| entry.lease_expires.is_some_and(|expires| expires <= now);
    give_back(&room, expired, is_lost).await?;
    Ok(Next::Now)
}
