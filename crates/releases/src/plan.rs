//! Which replicas run where. Pure.
//!
//! A dedicated instance's replica is on the node that wins the highest hash of node and instance
//! (rendezvous hashing, Thaler and Ravishankar 1998): when a node comes or goes only its share
//! moves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{
    configurator::{InstanceState, Route},
    manifest::Tenancy,
    releases::{DesiredReplica, ReplicaReport, ReplicaState},
};
use types::{Digest, InstanceId, Name, NodeId, ReplicaId};

use crate::store::Stored;

/// Something that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) service: Name,
    pub(crate) digest: Digest,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) size: Option<String>,
    /// Changes with whatever the process gets by its environment.
    pub(crate) generation: u64,
}

/// What the services and instances amount to.
pub(crate) fn units<'r>(
    services: &[Arc<Stored>],
    routes: impl Iterator<Item = &'r Route>,
) -> Vec<Unit> {
    let mut units = Vec::new();
    for stored in services {
        if stored.manifest.service.tenancy == Tenancy::Shared {
            let (service, digest) = (stored.release.service.clone(), stored.release.digest.clone());
            units.push(Unit { service, digest, instance: None, size: None, generation: 0 });
        }
    }
    for route in
        routes.filter(|route| route.state == InstanceState::Open && route.suspended.is_none())
    {
        let service = services.iter().find(|stored| stored.release.service == route.service);
        let Some(stored) = service.filter(|s| s.manifest.service.tenancy == Tenancy::Dedicated)
        else {
            continue;
        };
        let modules: Vec<&str> = route.modules.iter().map(String::as_str).collect();
        units.push(Unit {
            service: route.service.clone(),
            digest: stored.release.digest.clone(),
            instance: Some(route.instance),
            size: Some(route.size.clone()),
            generation: number(&[&modules.join(","), &route.size]),
        });
    }
    units.sort_by(|a, b| (&a.service, a.instance).cmp(&(&b.service, b.instance)));
    units
}

/// The replicas that `node`, one of the living, is to run.
pub(crate) fn replicas(units: &[Unit], alive: &[NodeId], node: NodeId) -> Vec<DesiredReplica> {
    let here = |unit: &&Unit| match unit.instance {
        None => true,
        Some(instance) => {
            let rank = |node: &NodeId| number(&[&node.to_string(), &instance.to_string()]);
            alive.iter().max_by_key(|node| (rank(node), **node)) == Some(&node)
        }
    };
    let replica = |unit: &Unit| DesiredReplica {
        replica: replica_id(node, &unit.service, unit.instance, &unit.digest),
        digest: unit.digest.clone(),
        service: unit.service.clone(),
        instance: unit.instance,
        size: unit.size.clone(),
        generation: unit.generation,
    };
    units.iter().filter(here).map(replica).collect()
}

fn replica_id(
    node: NodeId,
    service: &Name,
    instance: Option<InstanceId>,
    digest: &Digest,
) -> ReplicaId {
    let what = instance.map_or_else(|| service.to_string(), |id| id.to_string());
    ReplicaId::named(&[&node.to_string(), &what, digest.as_str()])
}

/// What the health of releases is remembered for: an instance wherever it is, or a shared service
/// on a node.
pub(crate) fn unit_of(replica: &DesiredReplica, node: NodeId) -> String {
    replica.instance.map_or_else(|| format!("{node}/{}", replica.service), |id| id.to_string())
}

/// What should run and is not healthy.
pub(crate) fn unhealthy(
    wanted: &[DesiredReplica],
    reported: &[ReplicaReport],
) -> Vec<DesiredReplica> {
    let running = reported.iter().filter(|replica| replica.state == ReplicaState::Healthy);
    let healthy: BTreeSet<ReplicaId> = running.map(|replica| replica.replica).collect();
    wanted.iter().filter(|replica| !healthy.contains(&replica.replica)).cloned().collect()
}

/// What runs beside what is not healthy yet: the release that was healthy last, whether or not it
/// still runs, or what is healthy now if none is remembered.
pub(crate) fn kept(
    unhealthy: &[DesiredReplica],
    reported: &[ReplicaReport],
    last_healthy: &BTreeMap<String, Digest>,
    node: NodeId,
) -> Vec<DesiredReplica> {
    let runs = |new: &DesiredReplica| {
        let mut healthy = reported.iter().filter(|old| old.state == ReplicaState::Healthy);
        healthy.find(|old| (&old.service, old.instance) == (&new.service, new.instance))
    };
    let keep = |new: &DesiredReplica| {
        let last = last_healthy.get(&unit_of(new, node));
        let digest = last.or_else(|| runs(new).map(|old| &old.digest))?.clone();
        let replica = replica_id(node, &new.service, new.instance, &digest);
        (digest != new.digest).then(|| DesiredReplica { replica, digest, ..new.clone() })
    };
    unhealthy.iter().filter_map(keep).collect()
}

fn number(parts: &[&str]) -> u64 {
    let digest = Digest::of(parts.join("\n").as_bytes());
    u64::from_str_radix(&digest.hex()[..15], 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::Timestamp;

    fn unit(instance: Option<InstanceId>, release: &str) -> Unit {
        let service = "store".parse().unwrap();
        Unit {
            service,
            digest: Digest::of(release.as_bytes()),
            instance,
            size: None,
            generation: 1,
        }
    }

    fn ids<K: types::Kind>(count: u64) -> Vec<types::Id<K>> {
        (0..count).map(|n| types::Id::named(&[&n.to_string()])).collect()
    }

    fn report(replica: &DesiredReplica, state: ReplicaState) -> ReplicaReport {
        ReplicaReport {
            replica: replica.replica,
            digest: replica.digest.clone(),
            service: replica.service.clone(),
            instance: replica.instance,
            address: "127.0.0.1:1".into(),
            state,
            starts: 1,
            log: String::new(),
        }
    }

    proptest! {
        #[test]
        fn each_instance_runs_on_exactly_one_node(instances in 0u64..40, nodes in 1u64..6) {
            let units: Vec<Unit> = ids(instances).into_iter().map(|id| unit(Some(id), "a")).collect();
            let alive: Vec<NodeId> = ids(nodes);
            let shares: Vec<_> = alive.iter().map(|node| replicas(&units, &alive, *node)).collect();
            prop_assert_eq!(shares.iter().map(Vec::len).sum::<usize>() as u64, instances);
        }

        #[test]
        fn a_node_that_goes_moves_only_its_share(instances in 0u64..40, nodes in 2u64..6) {
            let units: Vec<Unit> = ids(instances).into_iter().map(|id| unit(Some(id), "a")).collect();
            let alive: Vec<NodeId> = ids(nodes);
            for node in &alive[1..] {
                let before = replicas(&units, &alive, *node);
                let after = replicas(&units, &alive[1..], *node);
                prop_assert!(before.iter().all(|replica| after.contains(replica)));
            }
        }
    }

    #[test]
    fn the_old_release_serves_until_the_new_one_is_healthy() {
        let node = NodeId::new(Timestamp::from_micros(1));
        let old = replicas(&[unit(None, "old")], &[node], node);
        let new = replicas(&[unit(None, "new")], &[node], node);
        let running = report(&old[0], ReplicaState::Healthy);
        let starting = report(&new[0], ReplicaState::Starting);
        let healthy = report(&new[0], ReplicaState::Healthy);
        let nothing = BTreeMap::new();
        let kept =
            |wanted: &[DesiredReplica], reported: &[ReplicaReport], last: &BTreeMap<_, _>| {
                kept(&unhealthy(wanted, reported), reported, last, node)
            };
        assert_eq!(kept(&new, std::slice::from_ref(&running), &nothing), old);
        assert_eq!(kept(&new, &[running.clone(), starting.clone()], &nothing).len(), 1);
        assert_eq!(kept(&new, &[running.clone(), healthy.clone()], &nothing), vec![]);
        assert_eq!(kept(&old, &[report(&old[0], ReplicaState::Healthy)], &nothing), vec![]);
        // It is remembered also when it does not run any more, until the new one is healthy.
        let last = BTreeMap::from([(unit_of(&old[0], node), old[0].digest.clone())]);
        let failing = report(&old[0], ReplicaState::Failing);
        assert_eq!(kept(&new, &[failing, starting.clone()], &last), old);
        assert_eq!(kept(&new, &[], &last), old);
        assert_eq!(kept(&new, &[healthy], &last), vec![]);
        assert_eq!(kept(&old, &[], &last), vec![]);
    }
}
