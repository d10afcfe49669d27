//! Who follows a feed, how far each is, and whether all that are alive are far enough.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::{sync::watch, time::Instant};

/// A lease may not be longer, so a copy that is gone holds nobody up for longer.
pub(crate) const LEASE_MAX: Duration = Duration::from_secs(10);
const FOLLOWERS_MAX: usize = 1_000;

/// The copies of one feed.
pub(crate) struct Followers {
    places: Mutex<HashMap<String, Place>>,
    /// Counts whatever may end somebody's wait.
    moved: watch::Sender<u64>,
    head: watch::Sender<u64>,
}

#[derive(Clone, Copy)]
struct Place {
    applied: u64,
    expires: Instant,
}

impl Followers {
    /// Those who are `known` from before a restart get one lease to show that they are alive:
    /// until then they may still be deciding by what they have.
    pub(crate) fn new(head: u64, known: Vec<String>, lease: Duration) -> Self {
        let expires = Instant::now() + lease;
        let places = known.into_iter().map(|name| (name, Place { applied: 0, expires })).collect();
        Self {
            places: Mutex::new(places),
            moved: watch::Sender::new(0),
            head: watch::Sender::new(head),
        }
    }

    fn places(&self) -> std::sync::MutexGuard<'_, HashMap<String, Place>> {
        self.places.lock().expect("nobody panics while holding it")
    }

    /// A copy says how far it is and keeps its lease. Answers whether it was unknown, or that
    /// there is no room for another.
    pub(crate) fn acknowledge(&self, name: &str, applied: u64, lease: Duration) -> Option<bool> {
        let expires = Instant::now() + lease.min(LEASE_MAX);
        let mut places = self.places();
        if !places.contains_key(name) && places.len() >= FOLLOWERS_MAX {
            places.retain(|_, place| place.expires > Instant::now());
            if places.len() >= FOLLOWERS_MAX {
                return None;
            }
        }
        let new = places.insert(name.to_owned(), Place { applied, expires }).is_none();
        drop(places);
        self.moved.send_modify(|count| *count += 1);
        Some(new)
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
                .places()
                .values()
                .filter(|place| place.applied < revision && place.expires > now)
                .map(|place| place.expires)
                .min();
            let Some(first_expiry) = first_expiry else { return };
            let _ = tokio::time::timeout_at(first_expiry, moved.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(200);
    /// A lease may have begun so long before the test's watch.
    const TICK: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn a_barrier_waits_for_the_living_only() {
        let followers = Followers::new(0, vec![], LEASE);
        followers.acknowledge("alive", 0, LEASE_MAX);
        let waiting = followers.barrier(7);
        tokio::pin!(waiting);
        tokio::select! {
            () = &mut waiting => panic!("it had not been acknowledged"),
            () = tokio::task::yield_now() => {}
        }
        followers.acknowledge("alive", 7, LEASE_MAX);
        waiting.await;
        followers.acknowledge("dead", 0, LEASE);
        let begun = Instant::now();
        followers.barrier(7).await;
        assert!(begun.elapsed() + TICK >= LEASE, "its lease had to run out");
        followers.barrier(7).await;
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
