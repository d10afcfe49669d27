//! One process of a component at a time: two on one database would each wait for copies that only
//! the other one knows, and each would believe to be alone.
//!
//! The owner counts a number in the database up. Whoever comes later takes over at once if the owner
//! is dead for certain, else when the number has not moved for as long as a lease lasts. No clock of
//! any machine is compared with another's. An owner that could not count for a while stops writing
//! before anybody may take over.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{Kind, Problem};
use tokio::time::Instant;

use crate::{failure::database_failed, process, store};

/// How often the owner counts.
const BEAT: Duration = Duration::from_secs(3);
/// How long an owner that does not count may still write.
const HELD: Duration = Duration::from_secs(15);
/// How long a number has to stand still, so that its owner writes no more.
const LEASE: Duration = Duration::from_secs(20);

/// That a component's database belongs to this process. Clones are the same lease.
#[derive(Debug, Clone)]
pub(crate) struct Lease(Arc<Mutex<Option<Instant>>>);

impl Lease {
    /// Takes the database for the process called `process`, or says that it is somebody else's.
    pub(crate) async fn take(
        db: &db::Db,
        component: &'static str,
        process: &str,
    ) -> Result<Self, Problem> {
        let failed = |cause: db::Error| database_failed(component, &cause);
        let mut watched = None;
        loop {
            let asked = Instant::now();
            let owner = store::owner(db).await.map_err(failed)?;
            let is_free = match &owner {
                None => true,
                Some(owner) if owner.process == process => true,
                Some(owner) => process::is_dead(&owner.process) || watched.as_ref() == Some(owner),
            };
            if is_free {
                if store::take(db, owner.as_ref(), process).await.map_err(failed)? {
                    return Ok(Self(Arc::new(Mutex::new(Some(asked + HELD)))));
                }
            } else if let Some(owner) = owner.as_ref().filter(|_| watched.is_some()) {
                return Err(taken(component, &owner.process));
            }
            if !is_free {
                tracing::info!(component, "waiting whether the database's owner still lives");
                watched = stands_still(db, owner).await.map_err(failed)?;
            }
        }
    }

    /// Whether this process may write.
    pub(crate) fn holds(&self) -> bool {
        let until = *self.0.lock().expect("nobody panics while holding it");
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Keeps it for as long as it is polled.
    pub(crate) async fn keep(self, db: db::Db, component: &'static str, process: &str) {
        loop {
            tokio::time::sleep(BEAT).await;
            let asked = Instant::now();
            let outcome = count(&db, process).await;
            let mut until = self.0.lock().expect("nobody panics while holding it");
            match outcome {
                Ok(true) => *until = Some(asked + HELD),
                Ok(false) => {
                    *until = None;
                    tracing::error!(component, "another process has taken the database over");
                    return;
                }
                Err(cause) => {
                    tracing::error!(component, %cause, "the lease cannot be kept");
                }
            }
        }
    }
}

/// Counts on; answers whether the database is still this process's.
async fn count(db: &db::Db, process: &str) -> Result<bool, db::Error> {
    // One that was given back is nobody's, so it is as good as kept.
    Ok(store::beat(db, process).await? || store::take(db, None, process).await?)
}

/// Waits for a lease's length, or until the number has moved; the owner whom that was.
async fn stands_still(
    db: &db::Db,
    before: Option<store::Owner>,
) -> Result<Option<store::Owner>, db::Error> {
    let end = Instant::now() + LEASE;
    while Instant::now() < end {
        tokio::time::sleep(BEAT / 6).await;
        if store::owner(db).await? != before {
            break;
        }
    }
    Ok(before)
}

fn taken(component: &str, owner: &str) -> Problem {
    let detail = format!(
        "another process ({owner}) runs {component} on this database: stop it first; if it has \
         died on another machine, start again in {} s",
        LEASE.as_secs()
    );
    Problem::new(Kind::Conflict, "component_runs_already", detail)
}
