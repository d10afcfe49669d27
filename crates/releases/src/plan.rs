//! Which replicas run where, after what is placed where. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use api::{
    configurator::{InstanceState, Route},
    manifest::Tenancy,
    releases::{DesiredReplica, Labels, ReplicaReport, ReplicaState},
};
use types::{Digest, InstanceId, Name, NodeId, ReplicaId};

use crate::{
    placing::{Host, Places},
    store::Stored,
};

/// Something that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) service: Name,
    pub(crate) digest: Digest,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) size: Option<String>,
    /// Changes with whatever the process gets by its environment.
    pub(crate) generation: u64,
    /// What its nodes must have.
    pub(crate) labels: Labels,
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
            let labels = stored.manifest.placement.labels.clone();
            units.push(Unit { service, digest, instance: None, size: None, generation: 0, labels });
        }
    }
    for route in
        routes.filter(|route| route.state == InstanceState::Open && route.suspended.is_none())
    {
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
            generation: number(&[&modules.join(","), &route.size]),
            labels: stored.manifest.placement.labels.clone(),
        });
    }
    units.sort_by(|a, b| (&a.service, a.instance).cmp(&(&b.service, b.instance)));
    units
}

/// The replicas that each of the living is to run: those of services with processes for all
/// instances are on each that has the labels. What moves runs at both places for a while.
pub(crate) fn shares(
    units: &[Unit],
    alive: &[Host],
    places: &Places,
) -> BTreeMap<NodeId, Vec<DesiredReplica>> {
    let mut shares: BTreeMap<NodeId, Vec<DesiredReplica>> =
        alive.iter().map(|host| (host.node, Vec::new())).collect();
    for unit in units {
        let nodes: Vec<NodeId> = match unit.instance {
            None => {
                let hosts = alive.iter().filter(|host| host.machine.has(&unit.labels));
                hosts.filter(|host| !host.yields).map(|host| host.node).collect()
            }
            Some(instance) => {
                let placed = places.get(&instance).copied().unwrap_or_default();
                [placed.node, placed.former].into_iter().flatten().collect()
            }
        };
        for node in nodes {
            if let Some(share) = shares.get_mut(&node) {
                share.push(replica(unit, node));
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

pub(crate) fn replica_id(
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

/// A number that looks like chance, and is always the same.
pub(crate) fn number(parts: &[&str]) -> u64 {
    let digest = Digest::of(parts.join("\n").as_bytes());
    u64::from_str_radix(&digest.hex()[..15], 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use api::releases::Machine;
    use types::Timestamp;

    use super::*;
    use crate::placing::{Placed, Standing};

    fn unit(instance: Option<InstanceId>, release: &str) -> Unit {
        let service = "store".parse().unwrap();
        Unit {
            service,
            digest: Digest::of(release.as_bytes()),
            instance,
            size: None,
            generation: 1,
            labels: Labels::new(),
        }
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

    fn host(at: i64) -> Host {
        Host {
            node: NodeId::new(Timestamp::from_micros(at)),
            name: "one".parse().unwrap(),
            machine: Machine::default(),
            standing: Standing::Alive,
            drains: false,
            yields: false,
        }
    }

    #[test]
    fn what_serves_all_runs_where_the_labels_are_and_what_moves_at_both_places() {
        let mut hosts = [host(1), host(2), host(3)];
        let [one, two, three] = [hosts[0].node, hosts[1].node, hosts[2].node];
        let ssd: Labels = [("disk".to_owned(), "ssd".to_owned())].into();
        hosts[0].machine.labels = ssd.clone();
        hosts[1].machine.labels = ssd.clone();
        let instance = InstanceId::named(&["a"]);
        let units = [Unit { labels: ssd, ..unit(None, "a") }, unit(Some(instance), "a")];
        let moves: Places = [(instance, Placed { node: Some(three), former: Some(two) })].into();
        let counts = |hosts: &[Host], places: &Places| {
            let shares = shares(&units, hosts, places);
            [one, two, three].map(|node| shares.get(&node).map_or(0, Vec::len))
        };
        assert_eq!(counts(&hosts, &moves), [1, 2, 1]);
        assert_eq!(
            counts(&hosts, &Places::new()),
            [1, 1, 0],
            "what is placed nowhere runs nowhere"
        );
        assert_eq!(counts(&hosts[..2], &moves), [1, 2, 0], "nobody runs what is placed elsewhere");
        hosts[1].yields = true;
        assert_eq!(counts(&hosts, &moves), [1, 1, 1]);
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
