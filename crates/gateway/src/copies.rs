//! The copies that every decision is made from: instances by host, releases, replicas.
//!
//! Each copy is a persistent map behind one pointer. A request reads it without a lock; a change
//! makes a new map that shares all but a few nodes with the old one, so that a change costs the
//! same with ten hosts and with a hundred thousand.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    Client,
    configurator::{self, Route},
    manifest::{FILES, Manifest, Tenancy, WEB},
    releases::{self, ReplicaAddress, ServiceRelease},
};
use arc_swap::ArcSwap;
use chassis::{Freshness, Update, follow};
use rpds::HashTrieMapSync as Map;
use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};
use types::{Digest, Host, InstanceId, ReplicaId};

use crate::{
    replicas::Replica,
    visitors::{Inside, Visitors, is_held},
};

/// Instances, by host and by id.
#[derive(Default)]
pub(crate) struct Routes {
    known: ArcSwap<Known>,
    freshness: Freshness,
    changed: Notify,
    left: Arc<Notify>,
}

#[derive(Clone, Default)]
struct Known {
    by_host: Map<Host, Arc<Place>>,
    host_of: Map<String, Host>,
    /// Those for which requests wait.
    held: Map<String, Arc<Place>>,
}

/// An instance as it is known, and its requests.
struct Place {
    route: Arc<Route>,
    visitors: Arc<Visitors>,
    version: u64,
    /// Since when requests wait.
    held: Option<Instant>,
}

/// A request that was led to an instance.
pub(crate) struct Entered {
    pub(crate) route: Arc<Route>,
    pub(crate) inside: Inside,
    /// Since when requests of the instance wait, if they do.
    pub(crate) held: Option<Instant>,
}

impl Routes {
    /// The instance at `host`.
    pub(crate) fn at(&self, host: &Host) -> Option<Arc<Route>> {
        self.known.load().by_host.get(host).map(|place| Arc::clone(&place.route))
    }

    /// The instance at `host`, for a request that is under way from now on.
    pub(crate) fn enter(&self, host: &Host) -> Option<Entered> {
        loop {
            let known = self.known.load();
            let place = known.by_host.get(host)?;
            if let Some(inside) = place.visitors.enter(place.version) {
                let route = Arc::clone(&place.route);
                return Some(Entered { route, inside, held: place.held });
            }
            // What holds from now on is put here that moment.
            std::hint::spin_loop();
        }
    }

    /// Where visitors come to an instance.
    pub(crate) fn host_of(&self, instance: InstanceId) -> Option<Host> {
        self.known.load().host_of.get(&instance.to_string()).cloned()
    }

    /// The instances for which requests wait, with those that are under way.
    pub(crate) fn held(&self) -> Vec<(InstanceId, Arc<Visitors>)> {
        let known = self.known.load();
        let places = known.held.values();
        places.map(|place| (place.route.instance, Arc::clone(&place.visitors))).collect()
    }

    /// Ends when something of this changes after it was enabled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Ends when the last request of an instance has left for which requests wait.
    pub(crate) fn left(&self) -> Notified<'_> {
        self.left.notified()
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
                let place = Arc::new(self.place(former.as_deref(), route));
                if place.held.is_some() {
                    known.held.insert_mut(key.clone(), Arc::clone(&place));
                }
                known.host_of.insert_mut(key, place.route.host.clone());
                known.by_host.insert_mut(place.route.host.clone(), place);
            }
        }
        self.known.store(Arc::new(known));
        self.changed.notify_waiters();
    }

    /// An instance as it is from now on. It keeps its count of requests.
    fn place(&self, former: Option<&Place>, route: Route) -> Place {
        let visitors = former.map(|it| Arc::clone(&it.visitors));
        let visitors = visitors.unwrap_or_else(|| Visitors::new(&self.left));
        let version = visitors.turn(former.map(|it| &*it.route), &route);
        let since = || former.and_then(|it| it.held).unwrap_or_else(Instant::now);
        let held = is_held(&route).then(since);
        Place { route: Arc::new(route), visitors, version, held }
    }
}

impl Known {
    fn find(&self, key: &str) -> Option<&Arc<Place>> {
        let place = self.by_host.get(self.host_of.get(key)?)?;
        (place.route.instance.to_string() == key).then_some(place)
    }

    fn forget(&mut self, key: &str) {
        self.held.remove_mut(key);
        let Some(host) = self.host_of.get(key).cloned() else { return };
        self.host_of.remove_mut(key);
        // Another instance may have taken the host over meanwhile.
        let same = |place: &Arc<Place>| place.route.instance.to_string() == key;
        if self.by_host.get(&host).is_some_and(same) {
            self.by_host.remove_mut(&host);
        }
    }
}

/// Releases and their replicas.
#[derive(Default)]
pub(crate) struct Fleet {
    known: ArcSwap<Running>,
    freshness: Freshness,
    changed: Notify,
}

#[derive(Clone, Default)]
struct Running {
    manifests: Map<String, Arc<Manifest>>,
    homes: Map<Home, Arc<[Arc<Replica>]>>,
    home_of: Map<String, Home>,
    unproven: Arc<BTreeMap<ReplicaId, New>>,
}

/// What a replica runs, whom it serves if that is only one instance, and with which process.
pub(crate) type Home = (Digest, Option<InstanceId>, &'static str);

/// A replica that not every gateway is known to reach.
#[derive(Clone)]
pub(crate) struct New {
    pub(crate) home: Home,
    pub(crate) replica: Arc<Replica>,
}

impl Fleet {
    /// What a release is.
    pub(crate) fn manifest(&self, release: &Digest) -> Option<Arc<Manifest>> {
        self.known.load().manifests.get(release.as_str()).cloned()
    }

    /// The healthy replicas of a process of the release that an instance is on, which `manifest`
    /// is of.
    pub(crate) fn replicas(
        &self,
        route: &Route,
        manifest: &Manifest,
        process: &'static str,
    ) -> Option<Arc<[Arc<Replica>]>> {
        let instance = match manifest.service.tenancy {
            Tenancy::Shared => None,
            Tenancy::Dedicated => Some(route.instance),
        };
        self.known.load().homes.get(&(route.release.clone(), instance, process)).cloned()
    }

    /// Ends when something of this changes after it was enabled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// The replicas that not every gateway is known to reach.
    pub(crate) fn unproven(&self) -> Arc<BTreeMap<ReplicaId, New>> {
        Arc::clone(&self.known.load().unproven)
    }

    /// Keeps the copy for as long as it is polled.
    pub(crate) async fn keep(&self, client: Client, follower: String) {
        let apply = |update: Update| self.apply(&update);
        follow::<releases::Changes>(client, follower, self.freshness.clone(), apply).await;
    }

    fn apply(&self, update: &Update) {
        let before = self.known.load();
        let mut known =
            if update.is_reset() { Running::default() } else { Running::clone(&before) };
        for (key, release) in update.of::<ServiceRelease>() {
            match release {
                Some(release) => known.manifests.insert_mut(key, Arc::new(release.manifest)),
                None => drop(known.manifests.remove_mut(&key)),
            }
        }
        for (key, address) in update.of::<ReplicaAddress>() {
            // One that stays where it was keeps its count of requests.
            let old = before
                .find(&key)
                .filter(|old| address.as_ref().is_some_and(|new| old.is_at(&new.address)));
            known.forget(&key);
            if let Some(id) = key.parse().ok().filter(|id| known.unproven.contains_key(id)) {
                Arc::make_mut(&mut known.unproven).remove(&id);
            }
            let Some(address) = address else { continue };
            let Some(replica) = old.or_else(|| Replica::new(&key, &address.address).map(Arc::new))
            else {
                tracing::error!(
                    replica = key,
                    address = address.address,
                    "not an address; passed over"
                );
                continue;
            };
            replica.set_silent(address.silent);
            // Nothing else is sent requests, whatever a node says.
            let process = [WEB, FILES].into_iter().find(|process| *process == address.process);
            if let Some((release, process)) = address.release.zip(process) {
                let home = (release, address.instance, process);
                if address.unproven {
                    let new = New { home: home.clone(), replica: Arc::clone(&replica) };
                    Arc::make_mut(&mut known.unproven).insert(address.replica, new);
                }
                known.add(key, home, replica);
            }
        }
        self.known.store(Arc::new(known));
        self.changed.notify_waiters();
    }
}

impl Running {
    fn find(&self, key: &str) -> Option<Arc<Replica>> {
        let home = self.home_of.get(key)?;
        self.homes.get(home)?.iter().find(|replica| replica.key == key).cloned()
    }

    fn add(&mut self, key: String, home: Home, replica: Arc<Replica>) {
        let there = self.homes.get(&home).map(|there| there.to_vec()).unwrap_or_default();
        let all: Vec<_> = there.into_iter().chain([replica]).collect();
        self.homes.insert_mut(home.clone(), all.into());
        self.home_of.insert_mut(key, home);
    }

    fn forget(&mut self, key: &str) {
        let Some(home) = self.home_of.get(key).cloned() else { return };
        self.home_of.remove_mut(key);
        let there = self.homes.get(&home).map(|there| there.to_vec()).unwrap_or_default();
        let rest: Vec<_> = there.into_iter().filter(|replica| replica.key != key).collect();
        if rest.is_empty() {
            self.homes.remove_mut(&home);
        } else {
            self.homes.insert_mut(home, rest.into());
        }
    }
}
