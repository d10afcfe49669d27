//! What becomes of jobs, made so: states, counters, keys, and those that wait for them.

use std::time::Duration;

use api::jobs::{ASIDE_DAYS, Progress, SETUP_CLASS};
use chassis::Write;
use types::{Digest, JobId, Timestamp};

use crate::{
    Error, State as Memory,
    model::{Fate, State, place},
    releases::known_here,
    store::{self, Change, Entry, Moves},
    successes::{End, Successes},
};

/// For how long a job that has ended is kept, if no release says otherwise.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// For how long what was set aside can be put back.
const ASIDE: Duration = Duration::from_hours(ASIDE_DAYS as u64 * 24);

/// A job, locked, and what becomes of it.
pub(crate) struct Settled {
    pub(crate) entry: Entry,
    pub(crate) fate: Fate,
    pub(crate) output: Option<String>,
    pub(crate) progress: Option<Progress>,
}

impl Settled {
    /// Of a job that said nothing.
    pub(crate) const fn of(entry: Entry, fate: Fate) -> Self {
        Self { entry, fate, output: None, progress: None }
    }
}

/// Makes it so, also for those that wait for jobs that end.
pub(crate) async fn settle(cx: &mut Write<Memory>, settled: Vec<Settled>) -> Result<(), Error> {
    go_on(cx, settled, (Moves::default(), Vec::new())).await
}

/// The same, with jobs that have succeeded.
pub(crate) async fn settle_with(
    cx: &mut Write<Memory>,
    succeeded: Successes,
    settled: Vec<Settled>,
) -> Result<(), Error> {
    let mut moves = Moves::default();
    let ends = succeeded.keep(cx, &mut moves).await?;
    go_on(cx, settled, (moves, ends)).await
}

async fn go_on(
    cx: &mut Write<Memory>,
    settled: Vec<Settled>,
    (mut moves, mut ends): (Moves, Vec<End>),
) -> Result<(), Error> {
    ends.extend(settle_some(cx, settled, &mut moves).await?);
    while !ends.is_empty() {
        ends = followers(cx, ends, &mut moves).await?;
    }
    Ok(store::count(cx.tx(), moves).await?)
}

/// Answers which of them have ended and are waited for.
async fn settle_some(
    cx: &mut Write<Memory>,
    settled: Vec<Settled>,
    moves: &mut Moves,
) -> Result<Vec<End>, Error> {
    let now = cx.now();
    let (mut changes, mut ends, mut keys, mut untold) = (vec![], vec![], vec![], vec![]);
    for Settled { entry, fate, output, progress } in settled {
        let (state, not_before, lost, problem) = match fate {
            Fate::Runs => continue,
            Fate::Again { not_before, lost, problem } => {
                (place(false, 0, not_before, now), not_before, lost, problem)
            }
            Fate::Ended { state, lost, problem } => (state, entry.not_before, lost, problem),
        };
        let (job, has_ended) = (entry.job, state.has_ended());
        moves.moved(entry.lane, Some(entry.state), Some(state));
        if has_ended {
            keys.extend(entry.has_key.then_some(job));
            untold.extend((entry.class == SETUP_CLASS).then_some(job));
            let end = || End { job, name: entry.name.clone(), state };
            ends.extend(entry.is_awaited.then(end));
        }
        let kept = match state {
            State::SetAside => ASIDE,
            _ => kept(cx, entry.release.as_ref(), &entry.name).await?,
        };
        let forget = has_ended.then(|| now.plus(kept));
        let ended = has_ended.then_some(now);
        let lost = if has_ended { lost.max(entry.lost) } else { lost };
        changes.push(Change {
            entry,
            state,
            not_before,
            lost,
            problem,
            output,
            progress,
            ended,
            forget,
        });
    }
    store::change(cx.tx(), &changes).await?;
    store::give_keys_back(cx.tx(), keys).await?;
    store::insert_untold(cx.tx(), &untold).await?;
    Ok(ends)
}

/// For how long a job of this name is kept: as the release says that has done it.
pub(crate) async fn kept(
    cx: &mut Write<Memory>,
    release: Option<&Digest>,
    name: &str,
) -> Result<Duration, Error> {
    let Some(release) = release else { return Ok(KEPT) };
    let known = known_here(cx, release).await?;
    let definition = known.as_ref().and_then(|known| known.jobs.get(name));
    Ok(definition.map_or(KEPT, |known| Duration::from_secs(known.keep_seconds.into())))
}

/// What waited for a job that has succeeded goes on; what waited for another ends as that one has.
async fn followers(
    cx: &mut Write<Memory>,
    ends: Vec<End>,
    moves: &mut Moves,
) -> Result<Vec<End>, Error> {
    let (succeeded, others): (Vec<End>, Vec<End>) =
        ends.into_iter().partition(|end| end.state == State::Succeeded);
    let succeeded: Vec<JobId> = succeeded.into_iter().map(|end| end.job).collect();
    let now = cx.now();
    let mut freed = Vec::new();
    for (entry, count) in store::take_followers(cx.tx(), &succeeded).await? {
        if !matches!(entry.state, State::Blocked | State::Held) || entry.blocked_by == 0 {
            continue;
        }
        let blocked_by = entry.blocked_by.saturating_sub(count);
        let state = freed_to(&entry, blocked_by, now);
        moves.moved(entry.lane, Some(entry.state), Some(state));
        freed.push((entry.job, blocked_by, state));
    }
    store::set_blocked(cx.tx(), &freed).await?;
    let mut next = Vec::new();
    for end in others {
        let followers = store::take_followers(cx.tx(), &[end.job]).await?;
        let doomed = followers.into_iter().filter(|(entry, _)| entry.state.waits());
        let doomed = doomed.map(|(entry, _)| doom(entry, &end.name, end.state)).collect();
        next.extend(settle_some(cx, doomed, moves).await?);
    }
    Ok(next)
}

fn freed_to(entry: &Entry, blocked_by: u64, now: Timestamp) -> State {
    place(entry.state == State::Held, blocked_by, entry.not_before, now)
}

/// A job is not begun, since the one before it did not succeed.
pub(crate) fn doom(entry: Entry, earlier: &str, state: State) -> Settled {
    let how = match state {
        State::Cancelled => "was cancelled",
        State::Dropped => "was dropped",
        State::SetAside => "was set aside",
        _ => "failed",
    };
    let problem = Some(format!("`{earlier}`, which comes before it, {how}"));
    Settled::of(entry, Fate::Ended { state, lost: 0, problem })
}
