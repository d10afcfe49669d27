//! Which replicas run where, after what is placed where. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use api::{
    configurator::{InstanceState, Route},
    labels::Labels,
    manifest::{Manifest, Tenancy, WEB},
    releases::DesiredReplica,
};
use types::{Digest, InstanceId, Name, NodeId, ReplicaId};

use crate::{
    in_use::InUse,
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

/// What the services and instances amount to: an instance has what its release runs and, if it is
/// about to move to the current one, what that one runs beside it.
pub(crate) fn units<'r>(
    releases: &InUse,
    starting: &HashSet<InstanceId>,
    routes: impl Iterator<Item = &'r Route>,
) -> Vec<Unit> {
    let processes = |stored: &Arc<Stored>| processes(&stored.manifest);
    let runs_what: HashMap<&Digest, Processes> =
        releases.all().map(|stored| (&stored.release.digest, processes(stored))).collect();
    let unit = |stored: &Stored, route: Option<&Route>| {
        let processes = runs_what.get(&stored.release.digest).map(Arc::clone);
        unit(stored, processes.unwrap_or_default(), route)
    };
    let mut for_all: BTreeMap<&Digest, &Stored> = BTreeMap::new();
    let mut units = Vec::new();
    for stored in releases.current().filter(|stored| stored.tenancy() == Tenancy::Shared) {
        for_all.insert(&stored.release.digest, stored);
    }
    for route in routes {
        let next = next(releases, route).filter(|_| starting.contains(&route.instance));
        // While its database is migrated, it is said what it runs.
        let meanwhile = route.moving.as_ref().map(|moving| &moving.runs);
        let own = meanwhile.map_or_else(
            || [releases.get(&route.release), next.filter(|next| !migrates(next, route))].to_vec(),
            |runs| runs.iter().map(|digest| releases.get(digest)).collect(),
        );
        // What serves all goes on for the others, and for this one on its way back.
        let is_shared = |stored: &&Arc<Stored>| stored.tenancy() == Tenancy::Shared;
        let for_all_too = [next, releases.get(&route.release)].map(|it| it.filter(is_shared));
        for stored in own.into_iter().chain(for_all_too).flatten() {
            if stored.tenancy() == Tenancy::Shared {
                for_all.insert(&stored.release.digest, stored);
            } else if runs(route) {
                units.push(unit(stored, Some(route)));
            }
        }
    }
    units.extend(for_all.into_values().map(|stored| unit(stored, None)));
    let key = |unit: &Unit| (unit.service.clone(), unit.instance, unit.digest.clone());
    units.sort_by_cached_key(key);
    units
}

/// What a release runs for an instance, or for all.
pub(crate) fn unit(stored: &Stored, processes: Processes, route: Option<&Route>) -> Unit {
    Unit {
        service: stored.release.service.clone(),
        digest: stored.release.digest.clone(),
        instance: route.map(|route| route.instance),
        size: route.map(|route| route.size.clone()),
        generation: route.map_or(0, generation),
        processes,
        labels: stored.manifest.placement.labels.clone(),
    }
}

/// The current release of an instance's service, if the instance is on another one.
pub(crate) fn next<'i>(releases: &'i InUse, route: &Route) -> Option<&'i Arc<Stored>> {
    releases.current_of(&route.service).filter(|current| current.release.digest != route.release)
}

/// Whether an instance's database must be migrated for a release: what it has of its own of that does
/// not run before.
pub(crate) fn migrates(next: &Stored, route: &Route) -> bool {
    next.manifest.schema() > route.schema
}

/// Whether an instance has processes: it is open, or its application asks for its set-up itself.
pub(crate) fn runs(route: &Route) -> bool {
    let asks = route.state == InstanceState::AwaitingSetup && route.setup_key.is_some();
    (route.state == InstanceState::Open || asks) && route.suspended.is_none()
}

/// Another number means that what a process got by its environment is not what it would get now.
fn generation(route: &Route) -> u64 {
    let modules: Vec<&str> = route.modules.iter().map(String::as_str).collect();
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
pub(crate) fn replicas(unit: &Unit, node: NodeId) -> impl Iterator<Item = DesiredReplica> {
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
}
