//! Releases and the endpoints of their replicas, as `releases` says.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    Client,
    configurator::Route,
    manifest::{FILES, Manifest, Tenancy, WEB},
    releases::{self, ReplicaAddress, ServiceRelease},
};
use arc_swap::ArcSwap;
use chassis::{Freshness, Update, follow};
use rpds::HashTrieMapSync as Map;
use tokio::sync::{Notify, futures::Notified};
use types::{Digest, InstanceId, ReplicaId};

use crate::upstream::endpoint::Endpoint;

/// Releases and the endpoints of their replicas.
#[derive(Default)]
pub(crate) struct Releases {
    known: ArcSwap<Running>,
    freshness: Freshness,
    changed: Notify,
}

#[derive(Clone, Default)]
struct Running {
    manifests: Map<String, Arc<Manifest>>,
    homes: Map<Home, Arc<[Arc<Endpoint>]>>,
    home_of: Map<String, Home>,
    unproven: Arc<BTreeMap<ReplicaId, New>>,
}

/// What a replica runs, whom it serves if that is only one instance, and with which process.
pub(crate) type Home = (Digest, Option<InstanceId>, &'static str);

/// A replica that not every gateway is known to reach.
#[derive(Clone)]
pub(crate) struct New {
    pub(crate) home: Home,
    pub(crate) endpoint: Arc<Endpoint>,
}

impl Releases {
    /// What a release is.
    pub(crate) fn manifest(&self, release: &Digest) -> Option<Arc<Manifest>> {
        self.known.load().manifests.get(release.as_str()).cloned()
    }

    /// The endpoints of the healthy replicas of a process of the release that an instance is on, which `manifest`
    /// is of.
    pub(crate) fn endpoints(
        &self,
        route: &Route,
        manifest: &Manifest,
        process: &'static str,
    ) -> Option<Arc<[Arc<Endpoint>]>> {
        let instance = match manifest.service.tenancy {
            Tenancy::Shared => None,
            Tenancy::Dedicated => Some(route.instance),
        };
        self.known.load().homes.get(&(route.release.clone(), instance, process)).cloned()
    }

    /// Changes whenever something of this does.
    pub(crate) fn revision(&self) -> u64 {
        self.freshness.applied()
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
            let Some(endpoint) =
                old.or_else(|| Endpoint::new(&key, &address.address).map(Arc::new))
            else {
                tracing::error!(
                    replica = key,
                    address = address.address,
                    "not an address; passed over"
                );
                continue;
            };
            endpoint.set_silent(address.silent);
            // Nothing else is sent requests, whatever a node says.
            let process = [WEB, FILES].into_iter().find(|process| *process == address.process);
            if let Some((release, process)) = address.release.zip(process) {
                let home = (release, address.instance, process);
                if address.unproven {
                    let new = New { home: home.clone(), endpoint: Arc::clone(&endpoint) };
                    Arc::make_mut(&mut known.unproven).insert(address.replica, new);
                }
                known.add(key, home, endpoint);
            }
        }
        self.known.store(Arc::new(known));
        self.changed.notify_waiters();
    }
}

impl Running {
    fn find(&self, key: &str) -> Option<Arc<Endpoint>> {
        let home = self.home_of.get(key)?;
        self.homes.get(home)?.iter().find(|endpoint| *endpoint.key == *key).cloned()
    }

    fn add(&mut self, key: String, home: Home, endpoint: Arc<Endpoint>) {
        let there = self.homes.get(&home).map(|there| there.to_vec()).unwrap_or_default();
        let all: Vec<_> = there.into_iter().chain([endpoint]).collect();
        self.homes.insert_mut(home.clone(), all.into());
        self.home_of.insert_mut(key, home);
    }

    fn forget(&mut self, key: &str) {
        let Some(home) = self.home_of.get(key).cloned() else { return };
        self.home_of.remove_mut(key);
        let there = self.homes.get(&home).map(|there| there.to_vec()).unwrap_or_default();
        let rest: Vec<_> = there.into_iter().filter(|endpoint| *endpoint.key != *key).collect();
        if rest.is_empty() {
            self.homes.remove_mut(&home);
        } else {
            self.homes.insert_mut(home, rest.into());
        }
    }
}
