//! The steps of an instance's way to another release. Each may be repeated, so that a crash anywhere
//! is only a pause; each ends or fails within its time.

use std::time::Duration;

use api::{
    Problem,
    configurator::InstanceState,
    jobs::{CountJobsLeft, JobState, PutJob, QuietInstance, SetJobsAside, WithdrawSetup},
    releases::{GetStanding, Standing},
};
use chassis::Room;
use db::EngineKind;
use types::JobId;

use super::quiet::is_quiet;
use crate::{
    Error, State,
    model::moves::{Snapshot, Step},
    store::{self, Move, Stored},
};

/// What was stopped ends within its lease and a little.
const STOPPED: Duration = Duration::from_mins(1);
/// So long requests under way may take; then they are broken off with the processes that answer.
const DRAIN: Duration = Duration::from_secs(30);
/// So long processes may take to end.
const END: Duration = Duration::from_mins(1);
/// So long a job may wait for a machine.
const BEGIN: Duration = Duration::from_mins(1);
/// So long processes may take to be healthy.
const START: Duration = Duration::from_mins(2);
/// So long a copy is tried again that fails for what may pass, such as a server that is restarted.
const COPY: Duration = Duration::from_secs(20);
/// So long `jobs` may refuse to set jobs aside.
const PURGE: Duration = Duration::from_mins(5);
/// A copy needs as much room as its original, and a migration some more.
const ROOM: u64 = 2;

/// What came of a step.
pub(super) enum Outcome {
    Done,
    /// It is done, and the database itself is migrated, which has this number.
    InPlace(u32),
    /// It was lost, and goes on at a step before.
    Begins(Step),
    /// It is under way.
    Waits,
    /// It is under way, and how it ends is told.
    IsTold,
    /// It cannot be done, and why.
    Fails(String),
}

/// Takes the step that an instance is at. What is on its way to a release that is not `wanted` any more,
/// since another is the current one, is not left to arrive.
pub(super) async fn take(room: &Room<State>, it: &Move, wanted: bool) -> Result<Outcome, Error> {
    let Some(known) = store::instance(room.db(), it.instance).await? else {
        return Ok(Outcome::Fails("there is no such instance any more".to_owned()));
    };
    if !it.needs.is_late(it.step) && it.turned {
        return Ok(Outcome::Fails("the rollout was given up".to_owned()));
    }
    if !it.needs.is_late(it.step) && !wanted {
        let why = "another release was promoted meanwhile".to_owned();
        return Ok(Outcome::Fails(why));
    }
    let for_long = |time: Duration| room.now().since(it.entered) > time;
    match it.step {
        Step::Waiting => has_room(room, it, &known).await,
        Step::Drain => drain(room, it, &known).await,
        Step::Quiet => quiet(room, it).await,
        Step::Hold => hold(room, it).await,
        Step::Stop => match standing(room, it).await? {
            Standing { runs: false, .. } => Ok(Outcome::Done),
            _ if for_long(END) => Ok(Outcome::Fails("its processes did not end".to_owned())),
            _ => Ok(Outcome::Waits),
        },
        Step::Copy => copy(room, it, &known).await,
        Step::Migrate => job(room, it, &known, "migrate").await,
        Step::Check => job(room, it, &known, "check").await,
        Step::Start => match standing(room, it).await? {
            Standing { serves: true, .. } => Ok(Outcome::Done),
            Standing { problem: Some(why), .. } => Ok(Outcome::Fails(why)),
            _ if for_long(START) => {
                Ok(Outcome::Fails(format!("it was not healthy within {} s", START.as_secs())))
            }
            _ => Ok(Outcome::Waits),
        },
        Step::Purge => purge(room, it).await,
        Step::Undo => undo(room, it, &known).await,
        // What does not come up again is opened all the same: the gateway says that it is away.
        Step::Restart if for_long(START) => Ok(Outcome::Done),
        Step::Restart => Ok(done(standing(room, it).await?.serves)),
        // Those that are looked after have their turn.
        Step::Queued | Step::Moved | Step::Failed => Ok(Outcome::Done),
    }
}

const fn done(is_done: bool) -> Outcome {
    if is_done { Outcome::Done } else { Outcome::Waits }
}

/// Nothing is closed for what has no room.
async fn has_room(room: &Room<State>, it: &Move, known: &Stored) -> Result<Outcome, Error> {
    if !it.needs.closes {
        return Ok(Outcome::Done);
    }
    let engine = &room.state().engine;
    let size = engine.size(&it.instance.to_string(), known.copy.0).await?;
    let most = room.state().snapshot_max.filter(|most| size > *most);
    let free = engine.free().await?.filter(|free| *free < size.saturating_mul(ROOM));
    let why = match (most, free) {
        (Some(most), _) => format!("at most {} MiB are copied before a migration", most >> 20),
        (None, Some(free)) => {
            format!("a copy to migrate needs twice as much, and {} MiB are free", free >> 20)
        }
        (None, None) => return Ok(Outcome::Done),
    };
    Ok(match it.needs.snapshot {
        Snapshot::Made => Outcome::Fails(format!(
            "its database has {} MiB, and {why}. A rollout with `--without-snapshot` migrates it all the \
             same, with no way back",
            size >> 20
        )),
        Snapshot::UnlessTooLarge | Snapshot::None => Outcome::InPlace(known.copy.0),
    })
}

/// What waits for longer than that is done by the release that it comes to.
async fn drain(room: &Room<State>, it: &Move, known: &Stored) -> Result<Outcome, Error> {
    if known.state != InstanceState::Open {
        return Ok(Outcome::Done);
    }
    if known.suspended.is_some() || known.maintenance.is_some() {
        let why = "it is closed, so its jobs are not done: open it, or choose another way for jobs";
        return Ok(Outcome::Fails(why.to_owned()));
    }
    if !store::is_told(room.db(), it.instance).await? {
        return Ok(Outcome::Waits);
    }
    let until = it.entered.plus(it.needs.patience());
    let asked = CountJobsLeft { instance: it.instance, until };
    Ok(match room.peers().call(asked).await?.left {
        0 => Outcome::Done,
        left if room.now() > until => Outcome::Fails(format!(
            "{left} of its jobs were not done within {} s; they go on",
            it.needs.patience().as_secs()
        )),
        _ => Outcome::Waits,
    })
}

/// Nothing leads back from here. What `jobs` refuses for good is not waited for for ever: it is done by
/// whoever can.
async fn purge(room: &Room<State>, it: &Move) -> Result<Outcome, Error> {
    let (instance, release, which) = (it.instance, it.to.clone(), it.needs.aside());
    let asked = SetJobsAside { instance, release, which };
    loop {
        match room.peers().call(asked.clone()).await {
            Ok(aside) if aside.more => {}
            Ok(_) => return Ok(Outcome::Done),
            Err(problem) if room.now().since(it.entered) > PURGE && !problem.is_transient() => {
                tracing::error!(%instance, %problem, "its jobs are not set aside");
                return Ok(Outcome::Done);
            }
            Err(problem) => return Err(problem.into()),
        }
    }
}

async fn quiet(room: &Room<State>, it: &Move) -> Result<Outcome, Error> {
    let taken = room.now().since(it.entered);
    // Whoever tells `jobs` of instances tells of this one too, one after the other: what two told could
    // come in another order than it was.
    if !store::is_told(room.db(), it.instance).await? {
        return Ok(Outcome::Waits);
    }
    let patience = it.needs.patience();
    let stop = taken > patience;
    let asked = QuietInstance { instance: it.instance, stop };
    let running = room.peers().call(asked).await?.running;
    Ok(match running {
        0 => Outcome::Done,
        left if taken > patience + STOPPED => {
            Outcome::Fails(format!("{left} of its jobs run and do not end"))
        }
        _ => Outcome::Waits,
    })
}

/// What is under way for too long is broken off by what comes next, where something is: a process of
/// its own that ends, or a server that ends its connections. Elsewhere it could still write.
async fn hold(room: &Room<State>, it: &Move) -> Result<Outcome, Error> {
    let is_broken_off = it.needs.stops || room.state().engine.kind() == EngineKind::Postgres;
    Ok(match is_quiet(room, it.instance).await? {
        true => Outcome::Done,
        false if room.now().since(it.entered) <= DRAIN => Outcome::Waits,
        false if is_broken_off => Outcome::Done,
        false => Outcome::Fails(format!(
            "requests that had begun before were under way for {} s more",
            DRAIN.as_secs()
        )),
    })
}

/// How it is served, by what `releases` was told last.
async fn standing(room: &Room<State>, it: &Move) -> Result<Standing, Error> {
    room.copies_have_all().await?;
    Ok(room.peers().call(GetStanding { instance: it.instance }).await?)
}

/// Whatever is wrong with the copy, the original is as it was.
async fn copy(room: &Room<State>, it: &Move, known: &Stored) -> Result<Outcome, Error> {
    let (engine, name) = (&room.state().engine, it.instance.to_string());
    let copied = async {
        engine.shut(&name, known.copy.0).await?;
        match it.copy {
            // Whoever was connected is not any more, and `migrate` can be.
            copy if copy == known.copy.0 => engine.reopen(&name, copy).await,
            copy => engine.copy(&name, (known.copy.0, copy)).await,
        }
    };
    match copied.await {
        Ok(()) => Ok(Outcome::Done),
        Err(cause) if cause.may_pass() && room.now().since(it.entered) <= COPY => Err(cause.into()),
        Err(cause) => {
            let source = std::error::Error::source(&cause).map(ToString::to_string);
            tracing::error!(instance = name, %cause, source, "a database could not be copied");
            Ok(Outcome::Fails("its database could not be copied: the log says why".to_owned()))
        }
    }
}

/// A job of the release: tried once, since it is the copy that has borne it.
async fn job(room: &Room<State>, it: &Move, known: &Stored, name: &str) -> Result<Outcome, Error> {
    let Some(job) = it.job else { return Err(Problem::internal().into()) };
    if let Some(state) = it.job_state {
        let again = it.needs.again(it.step, it.lost).filter(|_| it.job_lost);
        if let Some(step) = again.filter(|_| state == JobState::Failed) {
            return Ok(Outcome::Begins(step));
        }
        let why = || it.problem.clone().unwrap_or_else(|| "nobody knows why".to_owned());
        return Ok(match state {
            JobState::Succeeded => Outcome::Done,
            JobState::Dropped => {
                Outcome::Fails(format!("no machine has run `{name}` within {} s", BEGIN.as_secs()))
            }
            _ => Outcome::Fails(format!("`{name}` failed: {}", why())),
        });
    }
    let put = PutJob {
        job,
        account: known.account,
        instance: it.instance,
        service: known.service.clone(),
        release: it.to.clone(),
        name: name.to_owned(),
        after: None,
        attempts: Some(1),
    };
    match room.peers().call(put).await {
        Ok(_) => {}
        Err(problem) if problem.is_transient() => return Err(problem.into()),
        Err(problem) => return Ok(Outcome::Fails(problem.detail)),
    }
    if room.now().since(it.entered) > BEGIN {
        withdraw(room, it, job).await?;
    }
    Ok(Outcome::IsTold)
}

/// What has been begun goes on; how it ends is told.
async fn withdraw(room: &Room<State>, it: &Move, job: JobId) -> Result<(), Error> {
    let withdraw = WithdrawSetup { instance: it.instance, jobs: vec![job] };
    room.peers().call(withdraw).await.map(drop).map_err(Into::into)
}

async fn undo(room: &Room<State>, it: &Move, known: &Stored) -> Result<Outcome, Error> {
    // Whatever still runs of it after that has the copy, which is worth nothing any more.
    let for_long = room.now().since(it.entered) > END;
    if it.needs.stops && !for_long && standing(room, it).await?.runs {
        return Ok(Outcome::Waits);
    }
    if let Some(job) = it.job {
        withdraw(room, it, job).await?;
    }
    room.state().engine.reopen(&it.instance.to_string(), known.copy.0).await?;
    Ok(Outcome::Done)
}
