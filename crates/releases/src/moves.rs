//! Moving instances to the current release of their service: one by one, as soon as what serves them
//! there is healthy. Until then they are served as before.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::{
    configurator::{MoveInstances, Route},
    manifest::Tenancy,
    releases::{ReplicaState, ServiceRelease},
};
use chassis::{Next, Room};
use types::{Digest, InstanceId, Name, NodeId, ReplicaId};

use crate::{
    Error, State,
    plan::{self, Processes, processes, replicas, runs},
    planning::{self, Plan},
    store::{self, Stored},
};

/// So many are moved by one request.
const AT_ONCE: usize = 500;
/// How long it takes at most until something is looked at that nobody told of.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Has the feed tell of the releases that instances are on or may be, and of no others.
pub(crate) async fn tell(room: Room<State>) -> Result<Next, Error> {
    let plan = match planning::plan(&room).await {
        Err(Error::Starting) => return Ok(Next::Idle),
        plan => plan?,
    };
    let mut known = room.state().told.lock().await;
    if known.as_ref().is_some_and(|told| Arc::ptr_eq(told, &plan.releases)) {
        return Ok(Next::Idle);
    }
    let told = store::releases_told(room.db()).await?;
    let wanted: BTreeMap<&str, &Arc<Stored>> =
        plan.releases.all().map(|stored| (stored.release.digest.as_str(), stored)).collect();
    let news: Vec<&Arc<Stored>> =
        wanted.iter().filter(|(name, _)| !told.contains(**name)).map(|(_, it)| *it).collect();
    let gone: Vec<&String> =
        told.iter().filter(|name| !wanted.contains_key(name.as_str())).collect();
    if !news.is_empty() || !gone.is_empty() {
        let mut write = room.begin().await?;
        for stored in news {
            let Stored { release, manifest, .. } = &**stored;
            let (service, digest) = (release.service.clone(), release.digest.clone());
            store::put_release_told(write.tx(), digest.as_str()).await?;
            write.put(&ServiceRelease { service, digest, manifest: manifest.clone() }).await?;
        }
        for name in gone {
            store::delete_release_told(write.tx(), name).await?;
            write.remove::<ServiceRelease>(name).await?;
        }
        write.commit().await?;
    }
    *known = Some(Arc::clone(&plan.releases));
    Ok(Next::Idle)
}

/// Moves what can be moved.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let plan = match planning::plan(&room).await {
        Err(Error::Starting) => return Ok(Next::Idle),
        plan => plan?,
    };
    if plan.moving.is_empty() {
        return Ok(Next::Idle);
    }
    let told = room.state().told.lock().await.clone();
    if !told.is_some_and(|told| Arc::ptr_eq(&told, &plan.releases)) {
        return Ok(Next::Soon);
    }
    let ready = ready(&room, &plan).await?;
    if !ready.is_empty() {
        // The gateways know of the release and of what serves there before they lead there.
        room.copies_have_all().await?;
    }
    for ((service, release), instances) in ready {
        for instances in instances.chunks(AT_ONCE) {
            let (service, release) = (service.clone(), release.clone());
            let instances = instances.iter().copied().collect();
            room.peers().call(MoveInstances { service, release, instances }).await?;
        }
    }
    Ok(Next::In(LOOK_AGAIN))
}

type Ready = BTreeMap<(Name, Digest), Vec<InstanceId>>;

/// The instances whose next release serves where they are, or that nothing serves now.
async fn ready(room: &Room<State>, plan: &Plan) -> Result<Ready, Error> {
    let seen = Seen::new(room, plan);
    let mut found = Vec::new();
    for instance in &plan.moving {
        let Some(route) = room.state().planning.route(*instance)? else { continue };
        let Some(next) = plan::next(&plan.releases, &route) else { continue };
        if let Some(serving) = seen.serving(&route, next) {
            found.push((route, &next.release.digest, serving));
        }
    }
    let named: BTreeSet<ReplicaId> = found.iter().flat_map(|(.., it)| it.clone()).collect();
    let told = store::told(room.db(), &named).await?;
    let mut ready = Ready::new();
    for (route, release, serving) in found {
        if serving.iter().all(|replica| told.contains(replica)) {
            let of = ready.entry((route.service.clone(), release.clone())).or_default();
            of.push(route.instance);
        }
    }
    Ok(ready)
}

/// What is healthy where.
struct Seen<'s> {
    room: &'s Room<State>,
    plan: &'s Plan,
    healthy: HashMap<NodeId, HashSet<ReplicaId>>,
    processes: HashMap<&'s Digest, Processes>,
}

impl<'s> Seen<'s> {
    fn new(room: &'s Room<State>, plan: &'s Plan) -> Self {
        let healthy = plan.alive().iter().filter_map(|host| {
            let (report, _) = room.state().nodes.report(host.node)?;
            let healthy = report.replicas.iter().filter(|it| it.state == ReplicaState::Healthy);
            Some((host.node, healthy.map(|replica| replica.replica).collect()))
        });
        let current = plan.releases.current();
        let processes = current.map(|it| (&it.release.digest, processes(&it.manifest))).collect();
        Self { room, plan, healthy: healthy.collect(), processes }
    }

    /// The replicas that would be sent the instance's requests, if all that the release runs for it
    /// is healthy; none if it runs nothing.
    fn serving(&self, route: &Route, next: &Stored) -> Option<Vec<ReplicaId>> {
        let processes = self.processes.get(&next.release.digest).map(Arc::clone)?;
        let is_shared = next.tenancy() == Tenancy::Shared;
        let nodes: Vec<NodeId> = if is_shared {
            let hosts = self.plan.alive().iter().filter(|host| !host.yields);
            let labels = &next.manifest.placement.labels;
            hosts.filter(|host| host.machine.has(labels)).map(|host| host.node).collect()
        } else if runs(route) {
            let places = self.room.state().placing.read();
            vec![places.get(&route.instance)?.node?]
        } else {
            return Some(Vec::new());
        };
        let unit = plan::unit(next, processes, (!is_shared).then_some(route));
        let mut serving = Vec::new();
        for node in &nodes {
            let healthy = self.healthy.get(node)?;
            for replica in replicas(&unit, *node) {
                if !healthy.contains(&replica.replica) {
                    return None;
                }
                serving.extend(replica.serves().then_some(replica.replica));
            }
        }
        (!nodes.is_empty()).then_some(serving)
    }
}
