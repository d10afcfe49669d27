//! What releases say of their jobs: asked, kept and promoted like every component's part.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use api::{
    Empty,
    jobs::{CountWaiting, DropJobs, JobDefinition, PromoteJobs, PutJobs, SETUP_CLASS, WaitingJobs},
};
use chassis::{Call, Room, Write};
use types::{Digest, Name};

use crate::{
    Error, State,
    store::{self, Promoted, Shape},
};

/// A release as it was promoted, which never changes.
pub(crate) type Known = Arc<Promoted>;

pub(crate) async fn put_jobs(cx: &mut Write<State>, op: PutJobs) -> Result<Empty, Error> {
    for (name, definition) in &op.jobs {
        if let Some(problem) = problem_of(definition) {
            return Err(Error::Definition { name: name.clone(), problem: problem.to_owned() });
        }
    }
    cx.propose(&op.service, &op.release, &op).await?;
    Ok(Empty {})
}

fn problem_of(definition: &JobDefinition) -> Option<&'static str> {
    let words = 1..=100;
    let fits = |command: &Vec<String>| {
        words.contains(&command.len()) && command.iter().all(|word| word.len() <= 4_000)
    };
    if !fits(&definition.command) || !definition.upgrade.as_ref().is_none_or(fits) {
        Some("a command needs 1 to 100 words, each at most 4,000 characters long")
    } else if definition.oldest == 0 || !definition.accepts(definition.version) {
        Some("it must accept its own version, and versions begin with 1")
    } else if !(1..=100).contains(&definition.attempts) {
        Some("it must be tried 1 to 100 times")
    } else if !(1..=86_400).contains(&definition.timeout_seconds) {
        Some("it may run for 1 second to a day")
    } else if definition.backoff_seconds > 86_400 {
        Some("the pause after an attempt is a day at most")
    } else if definition.concurrency == Some(0) || definition.concurrency_per_instance == Some(0) {
        Some("at least one must be allowed to run")
    } else {
        None
    }
}

pub(crate) async fn promote_jobs(cx: &mut Write<State>, op: PromoteJobs) -> Result<Empty, Error> {
    let promoted: Option<PutJobs> = cx.promote(&op.service, &op.release, op.turn).await?;
    let Some(put) = promoted else { return Ok(Empty {}) };
    let readable_from = if put.compatible {
        store::readable_before(cx.tx(), &put.service, put.schema, op.turn).await?
    } else {
        put.schema
    };
    let shape = Shape { schema: put.schema, readable_from };
    let PutJobs { service, release, jobs, .. } = put;
    store::put_release(cx.tx(), (&service, &release), (&jobs, shape), op.turn).await?;
    for class in jobs.values().map(|definition| definition.class.as_str()).chain([SETUP_CLASS]) {
        store::put_queue(cx.tx(), &service, class).await?;
    }
    Ok(Empty {})
}

/// So many kinds of a service are counted.
const KINDS_MAX: u32 = 1_000;

pub(crate) async fn count_waiting(cx: Call<State>, op: CountWaiting) -> Result<WaitingJobs, Error> {
    Ok(WaitingJobs { kinds: store::waiting(cx.db(), &op.service, KINDS_MAX).await? })
}

pub(crate) async fn drop_jobs(cx: &mut Write<State>, op: DropJobs) -> Result<Empty, Error> {
    cx.withdraw(&op.service, &op.release).await?;
    Ok(Empty {})
}

/// What releases say of their jobs, remembered: it never changes.
#[derive(Default)]
pub(crate) struct Remembered(RwLock<HashMap<Digest, Known>>);

/// So many releases are remembered.
const REMEMBERED_MAX: usize = 10_000;

impl Remembered {
    fn recall(&self, release: &Digest) -> Option<Known> {
        let remembered = self.0.read().expect("nobody panics while holding it");
        remembered.get(release).map(Arc::clone)
    }

    fn keep(&self, release: &Digest, known: Promoted) -> Known {
        let known = Arc::new(known);
        let mut remembered = self.0.write().expect("nobody panics while holding it");
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(release.clone(), Arc::clone(&known));
        known
    }
}

/// What a release says of its jobs, if it was promoted once.
pub(crate) async fn known(room: &Room<State>, release: &Digest) -> Result<Option<Known>, Error> {
    let remembered = &room.state().releases;
    if let Some(known) = remembered.recall(release) {
        return Ok(Some(known));
    }
    let found = store::definitions(room.db(), release).await?;
    Ok(found.map(|found| remembered.keep(release, found)))
}

/// The same, inside a transaction.
pub(crate) async fn known_here(
    cx: &mut Write<State>,
    release: &Digest,
) -> Result<Option<Known>, Error> {
    if let Some(known) = cx.state().releases.recall(release) {
        return Ok(Some(known));
    }
    let found = store::definitions(cx.tx(), release).await?;
    Ok(found.map(|found| cx.state().releases.keep(release, found)))
}

/// What the release says that an instance is on; the service's current one as long as that was not
/// told.
pub(crate) async fn definitions_of(
    cx: &mut Write<State>,
    service: &Name,
    release: Option<&Digest>,
) -> Result<Known, Error> {
    let release = match release {
        Some(release) => Some(release.clone()),
        None => store::current_release(cx.tx(), service).await?,
    };
    let known = match release {
        Some(release) => known_here(cx, &release).await?,
        None => None,
    };
    known.ok_or_else(|| Error::NoRelease(service.clone()))
}
