//! Jobs that change with the release that their instance moves to: set aside where somebody wants that.

use api::jobs::{ASIDE_DAYS, Aside, JobsAside, SetJobsAside};
use chassis::Write;
use types::Digest;

use crate::{
    Error, State as Memory,
    fates::{Settled, settle},
    model::{Fate, State, is_another},
    needed::RELEASES_MAX,
    releases::{Known, definitions_of, known_here},
    store::{self, Kind},
};

const AT_ONCE: u32 = 500;

/// Whoever asks has closed the instance before, and nothing of it runs: what waits now is what waits
/// when it moves.
pub(crate) async fn set_jobs_aside(
    cx: &mut Write<Memory>,
    op: SetJobsAside,
) -> Result<JobsAside, Error> {
    if store::running_when_closed(cx.tx(), op.instance).await? != Some(0) {
        return Err(Error::NotClosed);
    }
    let known = store::instance(cx.tx(), op.instance).await?.ok_or(Error::NoInstance)?;
    let old = definitions_of(cx, &known.service, known.release.as_ref()).await?;
    let new = known_here(cx, &op.release).await?;
    let new = new.ok_or_else(|| Error::NoRelease(known.service.clone()))?;
    let mut left = AT_ONCE;
    for (lane, kind) in store::lanes_and_kinds_of(cx.tx(), op.instance).await? {
        let (before, after) = (old.jobs.get(&kind.name), new.jobs.get(&kind.name));
        let goes = match op.which {
            Aside::Changed => is_another(kind.version, before, after),
            Aside::NotAccepted => after.is_none_or(|after| !after.accepts(kind.version)),
        };
        if !goes {
            continue;
        }
        let why = why(&op.release, can_be_done(cx, &new, &kind).await?);
        for state in State::WAITING {
            let entries = store::entries_of_lane(cx.tx(), lane, state, left).await?;
            left -= u32::try_from(entries.len()).unwrap_or(left).min(left);
            let fate =
                || Fate::Ended { state: State::SetAside, lost: 0, problem: Some(why.clone()) };
            settle(cx, entries.into_iter().map(|entry| Settled::of(entry, fate())).collect())
                .await?;
            if left == 0 {
                return Ok(JobsAside { more: true });
            }
        }
    }
    Ok(JobsAside { more: false })
}

/// Whether some release does jobs of a kind for an instance that is on this one.
async fn can_be_done(cx: &mut Write<Memory>, own: &Known, kind: &Kind) -> Result<bool, Error> {
    if own.accepting(kind).is_some() {
        return Ok(true);
    }
    for release in store::releases_of(cx.tx(), &kind.service, RELEASES_MAX).await? {
        let other = known_here(cx, &release).await?;
        if other.is_some_and(|other| other.does_for(own, kind)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn why(release: &Digest, can_be_done: bool) -> String {
    let release = release.short();
    if can_be_done {
        return format!(
            "its instance moved to release {release}, in which it is another job: it can be put \
             back within {ASIDE_DAYS} days"
        );
    }
    format!(
        "its instance moved to release {release}, and no release that can read its database accepts \
         this version of the job. Put back within {ASIDE_DAYS} days, it waits for one that does"
    )
}
