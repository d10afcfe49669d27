//! Nodes: what each reports, what each should do, and which replicas the gateways may use.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use api::releases::{
    Desired, DesiredRelease, DesiredReplica, Heartbeat, ListNodes, Node, ReplicaAddress,
    ReplicaState,
};
use chassis::{Call, Next, Room, Write};
use types::{AccountId, Digest, InstanceId, Name, Page, ReplicaId};

use crate::{
    Error, State, plan,
    planning::{self, ALIVE, Plan},
    store,
};

/// A report that says nothing new is written down as rarely.
const SEEN_AGAIN: Duration = Duration::from_secs(5);
const WAIT_MILLIS_MAX: u32 = 5_000;

pub(crate) async fn heartbeat(cx: Call<State>, op: Heartbeat) -> Result<Desired, Error> {
    if op.releases.len() > 200 || op.replicas.len() > 2_000 {
        return Err(Error::Report);
    }
    let report = Node {
        node: op.node,
        name: op.name,
        seen: cx.now(),
        alive: true,
        releases: op.releases,
        replicas: op.replicas,
    };
    let mut changes = cx.state().planning.watch();
    take_report(&cx, &report).await?;
    let patience = Duration::from_millis(op.wait_millis.min(WAIT_MILLIS_MAX).into());
    let waiting = tokio::time::sleep(patience);
    tokio::pin!(waiting);
    loop {
        changes.mark_unchanged();
        let desired = desired(&cx, &report).await?;
        if desired.version != op.known {
            return Ok(desired);
        }
        tokio::select! {
            () = &mut waiting => return Ok(desired),
            _ = changes.changed() => {}
        }
    }
}

async fn desired(room: &Room<State>, report: &Node) -> Result<Desired, Error> {
    let plan = planning::plan(room).await?;
    let replicas = planned(room, &plan, report).await?;
    let releases = wanted_releases(room, &plan, &replicas).await?;
    let engine = room.state().engine.to_string();
    let version = version(&releases, &replicas);
    Ok(Desired { version, engine, releases, replicas })
}

/// What the node is to run, and what was healthy before it as long as it is not.
async fn planned(
    room: &Room<State>,
    plan: &Plan,
    report: &Node,
) -> Result<Vec<DesiredReplica>, Error> {
    let wanted = plan.share(report.node);
    let unhealthy = plan::unhealthy(wanted, &report.replicas);
    let units: Vec<String> = unhealthy.iter().map(|new| plan::unit_of(new, report.node)).collect();
    let before = store::last_healthy(room.db(), &units).await?;
    let kept = plan::kept(&unhealthy, &report.replicas, &before, report.node);
    Ok(wanted.iter().cloned().chain(kept).collect())
}

/// The releases that run, and those that replicas still need.
async fn wanted_releases(
    room: &Room<State>,
    plan: &Plan,
    replicas: &[DesiredReplica],
) -> Result<Vec<DesiredRelease>, Error> {
    let current =
        plan.current.iter().map(|stored| (&stored.release.service, &stored.release.digest));
    let used = replicas.iter().map(|replica| (&replica.service, &replica.digest));
    let wanted: BTreeSet<(&Name, &Digest)> = current.chain(used).collect();
    let mut releases = Vec::with_capacity(wanted.len());
    for (service, digest) in wanted {
        let stored = match plan.current.iter().find(|stored| stored.is(service, digest)) {
            Some(stored) => Some(Arc::clone(stored)),
            None => store::release(room.db(), service, digest).await?.map(Arc::new),
        };
        let Some(stored) = stored else { continue };
        releases.push(DesiredRelease {
            digest: stored.release.digest.clone(),
            service: stored.release.service.clone(),
            manifest: stored.manifest.clone(),
            public_key: stored.release.public_key.clone(),
            signature: stored.release.signature.clone(),
        });
    }
    Ok(releases)
}

/// A number for a state: equal states have equal numbers.
fn version(releases: &[DesiredRelease], replicas: &[DesiredReplica]) -> u64 {
    let digests: Vec<&Digest> = releases.iter().map(|release| &release.digest).collect();
    let text = serde_json::to_vec(&(digests, replicas)).unwrap_or_default();
    let hex = Digest::of(&text);
    u64::from_str_radix(&hex.hex()[..15], 16).unwrap_or(1)
}

async fn take_report(cx: &Call<State>, report: &Node) -> Result<(), Error> {
    let known = store::node(cx.db(), report.node).await?;
    let silent = known.as_ref().map(|known| report.seen.since(known.seen));
    let same = known.as_ref().is_some_and(|known| {
        (&known.name, &known.releases, &known.replicas)
            == (&report.name, &report.releases, &report.replicas)
    });
    if same && silent.is_some_and(|silent| silent < SEEN_AGAIN) {
        return Ok(());
    }
    if silent.is_none_or(|silent| silent >= ALIVE) {
        // The plan counts on it from now on.
        let mut write = cx.begin().await?;
        store::put_node(write.tx(), report).await?;
        write.commit().await?;
    }
    let plan = planning::plan(cx).await?;
    let planned = planned(cx, &plan, report).await?;
    let healthy = newly_healthy(cx, report, plan.share(report.node)).await?;
    let mut write = cx.begin().await?;
    store::put_node(write.tx(), report).await?;
    for (unit, digest) in healthy {
        store::put_healthy(write.tx(), &unit, &digest).await?;
    }
    tell_gateways(&mut write, report, &planned, &plan.owners).await?;
    Ok(write.commit().await?)
}

/// What is healthy of what should run, and was not yet when that was written down last: it is what
/// is gone back to when a later release is not healthy.
async fn newly_healthy(
    room: &Room<State>,
    report: &Node,
    wanted: &[DesiredReplica],
) -> Result<Vec<(String, Digest)>, Error> {
    let unhealthy: BTreeSet<ReplicaId> =
        plan::unhealthy(wanted, &report.replicas).iter().map(|replica| replica.replica).collect();
    let healthy = wanted.iter().filter(|replica| !unhealthy.contains(&replica.replica));
    let mut healthy: Vec<(String, Digest)> =
        healthy.map(|new| (plan::unit_of(new, report.node), new.digest.clone())).collect();
    let units: Vec<String> = healthy.iter().map(|(unit, _)| unit.clone()).collect();
    let before = store::last_healthy(room.db(), &units).await?;
    healthy.retain(|(unit, digest)| before.get(unit) != Some(digest));
    Ok(healthy)
}

/// A node is believed about what it was asked to run, and about nothing else: whose replica it is
/// stands in the plan, not in the report.
async fn tell_gateways(
    write: &mut Write<State>,
    report: &Node,
    planned: &[DesiredReplica],
    owners: &BTreeMap<InstanceId, AccountId>,
) -> Result<(), Error> {
    let healthy = report.replicas.iter().filter(|replica| replica.state == ReplicaState::Healthy);
    let planned: BTreeMap<ReplicaId, &DesiredReplica> =
        planned.iter().map(|plan| (plan.replica, plan)).collect();
    let healthy: BTreeMap<ReplicaId, (&DesiredReplica, &str)> = healthy
        .filter_map(|replica| {
            let plan = planned.get(&replica.replica)?;
            Some((plan.replica, (*plan, replica.address.as_str())))
        })
        .collect();
    let told = store::replicas(write.tx(), report.node).await?;
    for (replica, _) in told.iter().filter(|(replica, _)| !healthy.contains_key(replica)) {
        store::delete_replica(write.tx(), *replica).await?;
        write.remove::<ReplicaAddress>(&replica.to_string()).await?;
    }
    for (id, (plan, address)) in healthy {
        if told.iter().any(|(known, there)| *known == id && there == address) {
            continue;
        }
        if !store::put_replica(write.tx(), id, report.node, address).await? {
            tracing::warn!(replica = %id, node = %report.node, "the replica is another node's");
            continue;
        }
        let address = ReplicaAddress {
            replica: id,
            service: plan.service.clone(),
            instance: plan.instance,
            account: plan.instance.and_then(|instance| owners.get(&instance).copied()),
            node: report.node,
            address: address.to_owned(),
        };
        write.put(&address).await?;
    }
    Ok(())
}

/// The replicas of a node that is not heard of any more are used by nobody, and others take over.
pub(crate) async fn forget_the_gone(room: Room<State>) -> Result<Next, Error> {
    for node in store::gone(room.db(), room.now().minus(ALIVE)).await? {
        let mut write = room.begin().await?;
        for (replica, _) in store::replicas(write.tx(), node).await? {
            store::delete_replica(write.tx(), replica).await?;
            write.remove::<ReplicaAddress>(&replica.to_string()).await?;
        }
        write.commit().await?;
    }
    // Whoever waits for another plan hears of it.
    match planning::plan(&room).await {
        Ok(_) | Err(Error::Starting) => Ok(Next::Idle),
        Err(problem) => Err(problem),
    }
}

pub(crate) async fn list_nodes(cx: Call<State>, op: ListNodes) -> Result<Page<Node>, Error> {
    let cursor = op.cursor();
    let mut nodes = store::nodes(cx.db(), &cursor).await?;
    let now = cx.now();
    for node in &mut nodes {
        node.alive = now.since(node.seen) < ALIVE;
    }
    Ok(Page::cut(nodes, &cursor, |node| node.node.to_string()))
}
