//! Instances by host, as the configurator says.

use std::sync::Arc;

use api::{
    Client,
    configurator::{self, Route},
};
use arc_swap::ArcSwap;
use chassis::{Freshness, Update, follow};
use rpds::HashTrieMapSync as Map;
use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};
use types::{Host, InstanceId};

use super::in_flight::{InFlight, Requests, is_held};

/// Instances, by host and by id.
#[derive(Default)]
pub(crate) struct Hosts {
    known: ArcSwap<Known>,
    freshness: Freshness,
    changed: Notify,
    left: Arc<Notify>,
}

#[derive(Clone, Default)]
struct Known {
    by_host: Map<Host, Arc<Entry>>,
    host_of: Map<String, Host>,
    /// Those for which requests wait.
    held: Map<String, Arc<Entry>>,
}

/// An instance as it is known, and its requests.
struct Entry {
    route: Arc<Route>,
    requests: Arc<Requests>,
    version: u64,
    /// Since when requests wait.
    held: Option<Instant>,
}

/// A request that was led to an instance.
pub(crate) struct Entered {
    pub(crate) route: Arc<Route>,
    pub(crate) in_flight: InFlight,
    /// Since when requests of the instance wait, if they do.
    pub(crate) held: Option<Instant>,
}

impl Hosts {
    /// The instance at `host`.
    pub(crate) fn at(&self, host: &Host) -> Option<Arc<Route>> {
        self.known.load().by_host.get(host).map(|entry| Arc::clone(&entry.route))
    }

    /// The instance at `host`, for a request that is under way from now on.
    pub(crate) fn enter(&self, host: &Host) -> Option<Entered> {
        loop {
            let known = self.known.load();
            let entry = known.by_host.get(host)?;
            if let Some(in_flight) = entry.requests.enter(entry.version) {
                let route = Arc::clone(&entry.route);
                return Some(Entered { route, in_flight, held: entry.held });
            }
            // What holds from now on is put here that moment.
            std::hint::spin_loop();
        }
    }

    /// Where requests come to an instance.
    pub(crate) fn host_of(&self, instance: InstanceId) -> Option<Host> {
        self.known.load().host_of.get(&instance.to_string()).cloned()
    }

    /// The instances for which requests wait, with those that are under way.
    pub(crate) fn held(&self) -> Vec<(InstanceId, Arc<Requests>)> {
        let known = self.known.load();
        let entries = known.held.values();
        entries.map(|entry| (entry.route.instance, Arc::clone(&entry.requests))).collect()
    }

    /// Ends when something of this changes after it was enabled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Ends when the last request of an instance has left for which requests wait.
    pub(crate) fn left(&self) -> Notified<'_> {
        self.left.notified()
    }

    /// Changes whenever something of this does.
    pub(crate) fn revision(&self) -> u64 {
        self.freshness.applied()
    }

    /// Whether whoever closes an instance waits for this copy.
    pub(crate) fn are_fresh(&self) -> bool {
        self.freshness.holds()
    }

    /// Keeps the copy for as long as it is polled.
    pub(crate) async fn keep(&self, client: Client, follower: String) {
        let apply = |update: Update| self.apply(&update);
        follow::<configurator::Changes>(client, follower, self.freshness.clone(), apply).await;
    }

    fn apply(&self, update: &Update) {
        let before = self.known.load();
        let mut known = if update.is_reset() { Known::default() } else { Known::clone(&before) };
        for (key, route) in update.of::<Route>() {
            let former = before.find(&key).map(Arc::clone);
            known.forget(&key);
            if let Some(route) = route {
                let entry = Arc::new(self.entry(former.as_deref(), route));
                if entry.held.is_some() {
                    known.held.insert_mut(key.clone(), Arc::clone(&entry));
                }
                known.host_of.insert_mut(key, entry.route.host.clone());
                known.by_host.insert_mut(entry.route.host.clone(), entry);
            }
        }
        self.known.store(Arc::new(known));
        self.changed.notify_waiters();
    }

    /// An instance as it is from now on. It keeps its count of requests.
    fn entry(&self, former: Option<&Entry>, route: Route) -> Entry {
        let requests = former.map(|it| Arc::clone(&it.requests));
        let requests = requests.unwrap_or_else(|| Requests::new(&self.left));
        let version = requests.turn(former.map(|it| &*it.route), &route);
        let since = || former.and_then(|it| it.held).unwrap_or_else(Instant::now);
        let held = is_held(&route).then(since);
        Entry { route: Arc::new(route), requests, version, held }
    }
}

impl Known {
    fn find(&self, key: &str) -> Option<&Arc<Entry>> {
        let entry = self.by_host.get(self.host_of.get(key)?)?;
        (entry.route.instance.to_string() == key).then_some(entry)
    }

    fn forget(&mut self, key: &str) {
        self.held.remove_mut(key);
        let Some(host) = self.host_of.get(key).cloned() else { return };
        self.host_of.remove_mut(key);
        // Another instance may have taken the host over meanwhile.
        let same = |entry: &Arc<Entry>| entry.route.instance.to_string() == key;
        if self.by_host.get(&host).is_some_and(same) {
            self.by_host.remove_mut(&host);
        }
    }
}
