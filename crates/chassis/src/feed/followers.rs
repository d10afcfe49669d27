//! Who follows a feed, how far each is, and whether all that are alive are far enough.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::log;
use crate::process;

/// A lease may not be longer, so a copy that is gone holds nobody up for longer.
pub(crate) const LEASE_MAX: Duration = Duration::from_secs(10);
const FOLLOWERS_MAX: usize = 1_000;

/// The copies of one feed.
pub(crate) struct Followers {
    copies: Mutex<HashMap<String, Follower>>,
    /// Counts whatever may end somebody's wait.
    moved: watch::Sender<u64>,
    head: watch::Sender<u64>,
}

struct Follower {
    /// Which process's copy it is.
    process: String,
    applied: u64,
    expires: Instant,
}

impl Follower {
    /// Whether it can be given to `process`: it is its own already, or nobody's any more.
    fn is_free_for(&self, process: &str) -> bool {
        let is_gone = self.expires <= Instant::now() || process::is_dead(&self.process);
        // Those without a process are from before there were any.
        is_gone || self.process == process || self.process.is_empty()
    }
}

/// Why a copy may not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are too many.
    Full,
    /// Another process has the name.
    Taken,
}

impl Followers {
    /// Those who are `known` from before a restart get one lease to show that they are alive:
    /// until then they may still be deciding by what they have.
    pub(crate) fn new(head: u64, known: Vec<String>, lease: Duration) -> Self {
        let expires = Instant::now() + lease;
        let entry = |follower: String| {
            let (name, process) = process::of_copy(&follower);
            (name.to_owned(), Follower { process: process.to_owned(), applied: 0, expires })
        };
        Self {
            copies: Mutex::new(known.into_iter().map(entry).collect()),
            moved: watch::Sender::new(0),
            head: watch::Sender::new(head),
        }
    }

    fn copies(&self) -> std::sync::MutexGuard<'_, HashMap<String, Follower>> {
        self.copies.lock().expect("nobody panics while holding it")
    }

    /// Whether the copy is known; if it is not, whether it may become so.
    pub(crate) fn knows(&self, follower: &str) -> Result<bool, Refused> {
        let (name, process) = process::of_copy(follower);
        let copies = self.copies();
        match copies.get(name) {
            Some(copy) if copy.process == process => Ok(true),
            Some(copy) if copy.is_free_for(process) => Ok(false),
            Some(_) => Err(Refused::Taken),
            None if copies.len() >= FOLLOWERS_MAX => Err(Refused::Full),
            None => Ok(false),
        }
    }

    /// A copy says how far it is and keeps its lease.
    pub(crate) fn acknowledge(
        &self,
        follower: &str,
        applied: u64,
        lease: Duration,
    ) -> Result<(), Refused> {
        let (name, process) = process::of_copy(follower);
        let expires = Instant::now() + lease.min(LEASE_MAX);
        let mut copies = self.copies();
        if copies.get(name).is_some_and(|copy| !copy.is_free_for(process)) {
            return Err(Refused::Taken);
        }
        copies.insert(name.to_owned(), Follower { process: process.to_owned(), applied, expires });
        drop(copies);
        self.moved.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Those whose leases hold.
    pub(crate) fn living(&self) -> Vec<String> {
        let now = Instant::now();
        let copies = self.copies();
        copies.iter().filter(|(_, it)| it.expires > now).map(|(name, _)| name.clone()).collect()
    }

    /// Forgets those whose leases have run out, and says who they were.
    pub(crate) fn forget_the_gone(&self) -> Vec<String> {
        let now = Instant::now();
        let mut gone = Vec::new();
        self.copies().retain(|name, copy| {
            let stays = copy.expires > now;
            if !stays {
                let full = if copy.process.is_empty() {
                    String::new()
                } else {
                    format!("#{}", copy.process)
                };
                gone.push(format!("{name}{full}"));
            }
            stays
        });
        gone
    }

    /// The feed has come to `revision`.
    pub(crate) fn advance(&self, revision: u64) {
        self.head.send_if_modified(|head| {
            let newer = revision > *head;
            *head = revision.max(*head);
            newer
        });
    }

    /// Returns when the feed is past `applied`, or after `patience`.
    pub(crate) async fn news(&self, applied: u64, patience: Duration) {
        let mut head = self.head.subscribe();
        let wait = head.wait_for(|head| *head > applied);
        let _ = tokio::time::timeout(patience, wait).await;
    }

    /// Returns when every copy whose lease holds has applied `revision`.
    pub(crate) async fn barrier(&self, revision: u64) {
        let mut moved = self.moved.subscribe();
        loop {
            moved.borrow_and_update();
            let now = Instant::now();
            let first_expiry = self
                .copies()
                .values()
                .filter(|copy| copy.applied < revision && copy.expires > now)
                .map(|copy| copy.expires)
                .min();
            let Some(first_expiry) = first_expiry else { return };
            let _ = tokio::time::timeout_at(first_expiry, moved.changed()).await;
        }
    }
}

/// Forgets the copies that are gone, again and again, so that no restart waits for them.
pub(crate) async fn forget_the_gone(db: &db::Db, followers: &Followers) {
    loop {
        tokio::time::sleep(2 * LEASE_MAX).await;
        for follower in followers.forget_the_gone() {
            let mut done = log::forget_follower(db, &follower).await;
            // It may have come back meanwhile.
            if followers.knows(&follower) == Ok(true) {
                done = log::remember_follower(db, &follower).await;
            }
            if let Err(cause) = done {
                tracing::warn!(follower, %cause, "a copy that is gone is still waited for");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(1);
    /// A lease may have begun so long before the test's watch.
    const TICK: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn a_barrier_waits_for_the_living_only() {
        let followers = Followers::new(0, vec![], LEASE);
        followers.acknowledge("alive", 0, LEASE_MAX).unwrap();
        let waiting = followers.barrier(7);
        tokio::pin!(waiting);
        tokio::select! {
            () = &mut waiting => panic!("it had not been acknowledged"),
            () = tokio::task::yield_now() => {}
        }
        followers.acknowledge("alive", 7, LEASE_MAX).unwrap();
        waiting.await;
        followers.acknowledge("dead", 0, LEASE).unwrap();
        let begun = Instant::now();
        followers.barrier(7).await;
        assert!(begun.elapsed() + TICK >= LEASE, "its lease had to run out");
        followers.barrier(7).await;
    }

    #[tokio::test]
    async fn a_name_is_one_process_until_that_is_gone() {
        let followers = Followers::new(0, vec![], LEASE);
        let this = format!("gateway#{}", process::this());
        let dead = this.rsplit_once('.').unwrap().0.to_owned() + ".1";
        followers.acknowledge(&dead, 0, LEASE_MAX).unwrap();
        followers.acknowledge(&this, 5, LEASE_MAX).unwrap();
        followers.barrier(5).await;
        let other = "gateway#another-machine.1.1";
        assert_eq!(followers.knows(other), Err(Refused::Taken));
        assert_eq!(followers.acknowledge(other, 9, LEASE_MAX), Err(Refused::Taken));
        followers.acknowledge(&this, 5, LEASE).unwrap();
        tokio::time::sleep(LEASE).await;
        assert_eq!(followers.knows(other), Ok(false));
        followers.acknowledge(other, 9, LEASE_MAX).unwrap();
        assert_eq!(followers.knows(&this), Err(Refused::Taken));
    }

    #[tokio::test]
    async fn whoever_is_gone_is_forgotten() {
        let followers = Followers::new(0, vec!["old".into(), "main#m.1.1".into()], LEASE);
        assert!(followers.forget_the_gone().is_empty());
        followers.acknowledge("main#m.1.1", 0, LEASE_MAX).unwrap();
        tokio::time::sleep(LEASE).await;
        assert_eq!(followers.forget_the_gone(), ["old"]);
        assert_eq!(followers.knows("main#m.1.1"), Ok(true));
    }

    #[tokio::test]
    async fn those_known_from_before_get_one_lease() {
        let begun = Instant::now();
        let followers = Followers::new(3, vec!["gateway".into()], LEASE);
        followers.barrier(3).await;
        assert!(begun.elapsed() + TICK >= LEASE, "it may still be deciding");
        followers.barrier(3).await;
    }
}
