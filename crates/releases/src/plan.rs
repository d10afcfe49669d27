//! Which replicas run where. Pure.
//!
//! A dedicated instance's replica is on the node that wins the highest hash of node and instance
//! (rendezvous hashing, Thaler and Ravishankar 1998): when a node comes or goes only its share
//! moves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
    let by_name: HashMap<&Name, &Arc<Stored>> =
        services.iter().map(|stored| (&stored.release.service, stored)).collect();
    for stored in services {
        if stored.manifest.service.tenancy == Tenancy::Shared {
            let (service, digest) = (stored.release.service.clone(), stored.release.digest.clone());
            units.push(Unit { service, digest, instance: None, size: None, generation: 0 });
        }
    }
    for route in routes.filter(|route| runs(route)) {
        let service = by_name.get(&route.service);
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
            generation: generation(route, &modules),
        });
    }
    units.sort_by(|a, b| (&a.service, a.instance).cmp(&(&b.service, b.instance)));
    units
}

/// Whether an instance has processes: it is open, or its application asks for its set-up itself.
fn runs(route: &Route) -> bool {
    let asks = route.state == InstanceState::AwaitingSetup && route.setup_key.is_some();
    (route.state == InstanceState::Open || asks) && route.suspended.is_none()
}

/// Another number means that what a process got by its environment is not what it would get now.
fn generation(route: &Route, modules: &[&str]) -> u64 {
    let (modules, rotations) = (modules.join(","), route.rotations.to_string());
    match route.rotations {
        0 => number(&[&modules, &route.size]),
        _ => number(&[&modules, &route.size, &rotations]),
    }
}

/// The node of each dedicated instance.
pub(crate) type Places = HashMap<InstanceId, NodeId>;

/// Where each dedicated instance is among the living. `before` are places among the same nodes.
pub(crate) fn places(units: &[Unit], alive: &[NodeId], before: Option<&Places>) -> Places {
    let names: Vec<(NodeId, String)> = alive.iter().map(|node| (*node, node.to_string())).collect();
    let place = |instance: InstanceId| {
        if let Some(place) = before.and_then(|before| before.get(&instance)) {
            return Some(*place);
        }
        let instance = instance.to_string();
        let rank = |(node, name): &&(NodeId, String)| (number(&[name, &instance]), *node);
        names.iter().max_by_key(rank).map(|(node, _)| *node)
    };
    let instances = units.iter().filter_map(|unit| unit.instance);
    instances.filter_map(|instance| Some((instance, place(instance)?))).collect()
}

/// The replicas that each of the living is to run.
pub(crate) fn shares(
    units: &[Unit],
    alive: &[NodeId],
    places: &Places,
) -> BTreeMap<NodeId, Vec<DesiredReplica>> {
    let mut shares: BTreeMap<NodeId, Vec<DesiredReplica>> =
        alive.iter().map(|node| (*node, Vec::new())).collect();
    for unit in units {
        match unit.instance {
            None => shares.iter_mut().for_each(|(node, share)| share.push(replica(unit, *node))),
            Some(instance) => {
                let place = places.get(&instance);
                if let Some((node, share)) =
                    place.and_then(|node| Some((*node, shares.get_mut(node)?)))
                {
                    share.push(replica(unit, node));
                }
            }
        }
    }
    shares
}

fn replica(unit: &Unit, node: NodeId) -> DesiredReplica {
    DesiredReplica {
        replica: replica_id(node, &unit.service, unit.instance, &unit.digest),
        digest: unit.digest.clone(),
        service: unit.service.clone(),
        instance: unit.instance,
        size: unit.size.clone(),
        generation: unit.generation,
    }
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
    last_healthy: &HashMap<String, Digest>,
    node: NodeId,
) -> Vec<DesiredReplica> {
    let healthy = reported.iter().filter(|old| old.state == ReplicaState::Healthy);
    let healthy: BTreeMap<(&Name, Option<InstanceId>), &ReplicaReport> =
        healthy.rev().map(|old| ((&old.service, old.instance), old)).collect();
    let keep = |new: &DesiredReplica| {
        let last = last_healthy.get(&unit_of(new, node));
        let runs = || healthy.get(&(&new.service, new.instance)).map(|old| &old.digest);
        let digest = last.or_else(runs)?.clone();
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
            let shares = shares(&units, &alive, &places(&units, &alive, None));
            prop_assert_eq!(shares.values().map(Vec::len).sum::<usize>() as u64, instances);
        }

        #[test]
        fn a_node_that_goes_moves_only_its_share(instances in 0u64..40, nodes in 2u64..6) {
            let units: Vec<Unit> = ids(instances).into_iter().map(|id| unit(Some(id), "a")).collect();
            let alive: Vec<NodeId> = ids(nodes);
            let among = |alive: &[NodeId]| shares(&units, alive, &places(&units, alive, None));
            let (before, after) = (among(&alive), among(&alive[1..]));
            for node in &alive[1..] {
                prop_assert!(before[node].iter().all(|replica| after[node].contains(replica)));
            }
        }
    }

    #[test]
    fn what_is_placed_is_not_placed_again_among_the_same_nodes() {
        let alive: Vec<NodeId> = ids(3);
        let units: Vec<Unit> = ids(8).into_iter().map(|id| unit(Some(id), "a")).collect();
        let all = places(&units, &alive, None);
        let elsewhere: Places =
            units[..4].iter().filter_map(|unit| Some((unit.instance?, alive[0]))).collect();
        let places = places(&units, &alive, Some(&elsewhere));
        for unit in &units[..4] {
            assert_eq!(places[&unit.instance.unwrap()], alive[0]);
        }
        for unit in &units[4..] {
            assert_eq!(places[&unit.instance.unwrap()], all[&unit.instance.unwrap()]);
        }
    }

    #[test]
    fn the_old_release_serves_until_the_new_one_is_healthy() {
        let node = NodeId::new(Timestamp::from_micros(1));
        let (old, new) = ([replica(&unit(None, "old"), node)], [replica(&unit(None, "new"), node)]);
        let running = report(&old[0], ReplicaState::Healthy);
        let starting = report(&new[0], ReplicaState::Starting);
        let healthy = report(&new[0], ReplicaState::Healthy);
        let nothing = HashMap::new();
        let kept = |wanted: &[DesiredReplica], reported: &[ReplicaReport], last: &HashMap<_, _>| {
            kept(&unhealthy(wanted, reported), reported, last, node)
        };
        assert_eq!(kept(&new, std::slice::from_ref(&running), &nothing), old);
        assert_eq!(kept(&new, &[running.clone(), starting.clone()], &nothing).len(), 1);
        assert_eq!(kept(&new, &[running.clone(), healthy.clone()], &nothing), vec![]);
        assert_eq!(kept(&old, &[report(&old[0], ReplicaState::Healthy)], &nothing), vec![]);
        // It is remembered also when it does not run any more, until the new one is healthy.
        let last = HashMap::from([(unit_of(&old[0], node), old[0].digest.clone())]);
        let failing = report(&old[0], ReplicaState::Failing);
        assert_eq!(kept(&new, &[failing, starting.clone()], &last), old);
        assert_eq!(kept(&new, &[], &last), old);
        assert_eq!(kept(&new, &[healthy], &last), vec![]);
        assert_eq!(kept(&old, &[], &last), vec![]);
    }
}
