//! Which replicas run where, after what is placed where. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use api::{
    configurator::{InstanceState, Route},
    labels::Labels,
    manifest::{Manifest, Tenancy, WEB},
    releases::{DesiredReplica, ReplicaReport, ReplicaState},
};
use types::{Digest, InstanceId, Name, NodeId, ReplicaId};

use crate::{
    number::number,
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
    pub(crate) processes: Processes,
    /// What its nodes must have.
    pub(crate) labels: Labels,
}

/// The processes of a release, and how many replicas each has.
pub(crate) type Processes = Arc<[(String, u32)]>;

/// What a release runs.
pub(crate) fn processes(manifest: &Manifest) -> Processes {
    manifest.processes().map(|(name, process)| (name.to_owned(), process.replicas)).collect()
}

/// What the services and instances amount to.
pub(crate) fn units<'r>(
    services: &[Arc<Stored>],
    routes: impl Iterator<Item = &'r Route>,
) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut by_name: HashMap<&Name, (&Arc<Stored>, Processes)> = HashMap::new();
    for stored in services {
        let (service, digest) = (stored.release.service.clone(), stored.release.digest.clone());
        let processes = processes(&stored.manifest);
        if stored.manifest.service.tenancy == Tenancy::Dedicated {
            by_name.insert(&stored.release.service, (stored, processes));
            continue;
        }
        let labels = stored.manifest.placement.labels.clone();
        let (instance, size, generation) = (None, None, 0);
        units.push(Unit { service, digest, instance, size, generation, processes, labels });
    }
    for route in routes.filter(|route| runs(route)) {
        let Some((stored, processes)) = by_name.get(&route.service) else { continue };
        let modules: Vec<&str> = route.modules.iter().map(String::as_str).collect();
        units.push(Unit {
            service: route.service.clone(),
            digest: stored.release.digest.clone(),
            instance: Some(route.instance),
            size: Some(route.size.clone()),
            generation: generation(route, &modules),
            processes: Arc::clone(processes),
            labels: stored.manifest.placement.labels.clone(),
        });
    }
    units.sort_by(|a, b| (&a.service, a.instance).cmp(&(&b.service, b.instance)));
    units
}

/// Whether an instance has processes: it is open, or its application asks for its set-up itself.
pub(crate) fn runs(route: &Route) -> bool {
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
                let there = places.get(&instance).copied().unwrap_or_default();
                [there.node, there.former].into_iter().flatten().collect()
            }
        };
        for node in nodes {
            if let Some(share) = shares.get_mut(&node) {
                share.extend(replicas(unit, node));
            }
        }
    }
    shares
}

/// What a unit is on a node: all replicas of all its processes.
fn replicas(unit: &Unit, node: NodeId) -> impl Iterator<Item = DesiredReplica> {
    let all = unit
        .processes
        .iter()
        .flat_map(|(process, count)| (0..*count).map(move |index| (process.as_str(), index)));
    all.map(move |which| DesiredReplica {
        replica: replica_id(node, (&unit.service, unit.instance), &unit.digest, which),
        digest: unit.digest.clone(),
        service: unit.service.clone(),
        instance: unit.instance,
        size: unit.size.clone(),
        generation: unit.generation,
        process: which.0.to_owned(),
        index: which.1,
    })
}

/// The first one of `web` is named as it was when there was no other.
pub(crate) fn replica_id(
    node: NodeId,
    (service, instance): (&Name, Option<InstanceId>),
    digest: &Digest,
    (process, index): (&str, u32),
) -> ReplicaId {
    let what = instance.map_or_else(|| service.to_string(), |id| id.to_string());
    let node = node.to_string();
    let names = [node.as_str(), &what, digest.as_str()];
    if (process, index) == (WEB, 0) {
        return ReplicaId::named(&names);
    }
    ReplicaId::named(&[&names[..], &[process, &index.to_string()]].concat())
}

/// What the health of releases is remembered for: an instance wherever it is, or a shared service
/// on a node.
pub(crate) fn unit_of(replica: &DesiredReplica, node: NodeId) -> String {
    replica.instance.map_or_else(|| format!("{node}/{}", replica.service), |id| id.to_string())
}

/// The units of a share by their names, each by one of its replicas, and whether all of them are
/// healthy.
pub(crate) type Health<'s> = BTreeMap<String, (&'s DesiredReplica, bool)>;

/// How the units of a share are.
pub(crate) fn health<'s>(
    share: &'s [DesiredReplica],
    reported: &[ReplicaReport],
    node: NodeId,
) -> Health<'s> {
    let running = reported.iter().filter(|replica| replica.state == ReplicaState::Healthy);
    let healthy: BTreeSet<ReplicaId> = running.map(|replica| replica.replica).collect();
    let mut units = Health::new();
    for replica in share {
        let (_, is_healthy) = units.entry(unit_of(replica, node)).or_insert((replica, true));
        *is_healthy &= healthy.contains(&replica.replica);
    }
    units
}

/// A unit, by one of its replicas, and the release that ran before it.
pub(crate) type Former<'s> = (&'s DesiredReplica, Digest);

/// What ran before what is not healthy yet: the release that was healthy last, whether or not it
/// still runs, or what is healthy now if none is remembered.
pub(crate) fn former<'s>(
    health: &Health<'s>,
    reported: &[ReplicaReport],
    last_healthy: &HashMap<String, Digest>,
) -> Vec<Former<'s>> {
    let serving = reported.iter().filter(|old| old.is_web() && old.state == ReplicaState::Healthy);
    let serving: BTreeMap<(&Name, Option<InstanceId>), &Digest> =
        serving.rev().map(|old| ((&old.service, old.instance), &old.digest)).collect();
    let unhealthy = health.iter().filter(|(_, (_, is_healthy))| !is_healthy);
    let former = unhealthy.filter_map(|(unit, (new, _))| {
        let runs = || serving.get(&(&new.service, new.instance)).copied();
        let digest = last_healthy.get(unit).or_else(runs)?;
        (*digest != new.digest).then(|| (*new, digest.clone()))
    });
    former.collect()
}

/// What is to run beside what is not healthy yet: all of what ran before it.
pub(crate) fn kept(
    former: &[Former<'_>],
    processes: &HashMap<Digest, Processes>,
    node: NodeId,
) -> Vec<DesiredReplica> {
    let unit = |(new, digest): &Former<'_>| {
        let processes = Arc::clone(processes.get(digest)?);
        let DesiredReplica { service, instance, size, generation, .. } = (*new).clone();
        let (digest, labels) = (digest.clone(), Labels::new());
        Some(Unit { service, digest, instance, size, generation, processes, labels })
    };
    let units: Vec<Unit> = former.iter().filter_map(unit).collect();
    units.iter().flat_map(|unit| replicas(unit, node)).collect()
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
            processes: one_web(),
            labels: Labels::new(),
        }
    }

    fn one_web() -> Processes {
        [("web".to_owned(), 1)].into()
    }

    fn replica(unit: &Unit, node: NodeId) -> DesiredReplica {
        replicas(unit, node).next().unwrap()
    }

    fn report(replica: &DesiredReplica, state: ReplicaState) -> ReplicaReport {
        ReplicaReport {
            replica: replica.replica,
            digest: replica.digest.clone(),
            service: replica.service.clone(),
            process: replica.process.clone(),
            instance: replica.instance,
            address: "127.0.0.1:1".into(),
            state,
            starts: 1,
            next_start: None,
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
            let former = former(&health(wanted, reported, node), reported, last);
            let all = former.iter().map(|(_, digest)| (digest.clone(), one_web())).collect();
            super::kept(&former, &all, node)
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
    #[test]
    fn a_unit_is_healthy_when_all_of_its_processes_are() {
        let node = NodeId::new(Timestamp::from_micros(1));
        let two: Processes = [("web".to_owned(), 1), ("worker".to_owned(), 2)].into();
        let unit = |release| Unit { processes: Arc::clone(&two), ..unit(None, release) };
        let all = |release| replicas(&unit(release), node).collect::<Vec<_>>();
        let (old, new) = (all("old"), all("new"));
        let named: BTreeSet<ReplicaId> = new.iter().map(|replica| replica.replica).collect();
        assert_eq!(named.len(), 3, "each is one of its kind");
        assert_eq!(new[0].replica, replica(&super::tests::unit(None, "new"), node).replica);
        let last = HashMap::from([(unit_of(&old[0], node), old[0].digest.clone())]);
        let processes = HashMap::from([(old[0].digest.clone(), Arc::clone(&two))]);
        let kept = |healthy: &[DesiredReplica]| {
            let said: Vec<ReplicaReport> =
                healthy.iter().map(|replica| report(replica, ReplicaState::Healthy)).collect();
            kept(&former(&health(&new, &said, node), &said, &last), &processes, node)
        };
        assert_eq!(kept(&new[..2]), old, "one worker is not there yet, so all of the old stay");
        assert_eq!(kept(&new), vec![]);
    }
}
