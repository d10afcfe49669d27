//! Nodes: what each reports, what each should do, and which replicas the gateways may use.

use std::{collections::BTreeMap, time::Duration};

use api::releases::{
    Desired, DesiredReplica, Heartbeat, ListNodes, Node, ReplicaAddress, ReplicaState,
};
use chassis::{Call, Next, Room, Write};
use types::{AccountId, Cursor, Digest, InstanceId, NodeId, Page, ReplicaId};

use crate::{
    Error, State,
    plan::{self, Unit},
    store,
};

/// A node that was not heard of for longer is gone.
const ALIVE: Duration = Duration::from_secs(15);
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
    take_report(&cx, &report).await?;
    let patience = Duration::from_millis(op.wait_millis.min(WAIT_MILLIS_MAX).into());
    let waiting = tokio::time::sleep(patience);
    tokio::pin!(waiting);
    loop {
        let change = cx.changed();
        tokio::pin!(change);
        change.as_mut().enable();
        let desired = desired(&cx, &report).await?;
        if desired.version != op.known {
            return Ok(desired);
        }
        tokio::select! {
            () = &mut waiting => return Ok(desired),
            () = change => {}
        }
    }
}

async fn desired(room: &Room<State>, report: &Node) -> Result<Desired, Error> {
    let services = services(room).await?;
    let replicas = planned(room, &services, report).await?;
    let releases = store::wanted_releases(room.db(), &services, &replicas).await?;
    let engine = room.state().engine.to_string();
    let version = version(&releases, &replicas);
    Ok(Desired { version, engine, releases, replicas })
}

async fn services(room: &Room<State>) -> Result<Vec<store::Stored>, Error> {
    Ok(store::services(room.db(), &Cursor { after: None, limit: Some(500) }).await?)
}

/// What the node is to run, with what it runs of an older release and is not yet replaced.
async fn planned(
    room: &Room<State>,
    services: &[store::Stored],
    report: &Node,
) -> Result<Vec<DesiredReplica>, Error> {
    let nodes = store::nodes(room.db(), &Cursor { after: None, limit: Some(500) }).await?;
    let now = room.now();
    let alive =
        nodes.iter().filter(|node| now.since(node.seen) < ALIVE || node.node == report.node);
    let mut alive: Vec<NodeId> = alive.map(|node| node.node).collect();
    if !alive.contains(&report.node) {
        alive.push(report.node);
    }
    let units = units(room.state(), services)?;
    let mut replicas = plan::replicas(&units, &alive, report.node);
    replicas.extend(plan::kept(&replicas, &report.replicas));
    Ok(replicas)
}

/// A number for a state: equal states have equal numbers.
fn version(releases: &[api::releases::DesiredRelease], replicas: &[DesiredReplica]) -> u64 {
    let digests: Vec<&Digest> = releases.iter().map(|release| &release.digest).collect();
    let text = serde_json::to_vec(&(digests, replicas)).unwrap_or_default();
    let hex = Digest::of(&text);
    u64::from_str_radix(&hex.hex()[..15], 16).unwrap_or(1)
}

/// What is to run at all: a shared service once on each node, a dedicated one for each instance.
fn units(state: &State, services: &[store::Stored]) -> Result<Vec<Unit>, Error> {
    let routes = state.routes.read().expect("nobody panics while holding it");
    let routes = routes.as_ref().ok_or(Error::Starting)?;
    Ok(plan::units(services, routes.values().map(std::sync::Arc::as_ref)))
}

async fn take_report(cx: &Call<State>, report: &Node) -> Result<(), Error> {
    let known = store::node(cx.db(), report.node).await?;
    let same = known.as_ref().is_some_and(|known| {
        (&known.name, &known.releases, &known.replicas)
            == (&report.name, &report.releases, &report.replicas)
            && report.seen.since(known.seen) < SEEN_AGAIN
    });
    if same {
        return Ok(());
    }
    let owners = owners(cx.state())?;
    let planned = planned(cx, &services(cx).await?, report).await?;
    let mut write = cx.begin().await?;
    store::put_node(write.tx(), report).await?;
    tell_gateways(&mut write, report, &planned, &owners).await?;
    Ok(write.commit().await?)
}

fn owners(state: &State) -> Result<BTreeMap<InstanceId, AccountId>, Error> {
    let routes = state.routes.read().expect("nobody panics while holding it");
    let routes = routes.as_ref().ok_or(Error::Starting)?;
    Ok(routes.values().map(|route| (route.instance, route.account)).collect())
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
    let healthy: BTreeMap<ReplicaId, (&DesiredReplica, &str)> = healthy
        .filter_map(|replica| {
            let plan = planned.iter().find(|plan| plan.replica == replica.replica)?;
            Some((plan.replica, (plan, replica.address.as_str())))
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

/// The replicas of a node that is not heard of any more are used by nobody.
pub(crate) async fn forget_the_gone(room: Room<State>) -> Result<Next, Error> {
    let now = room.now();
    let cursor = Cursor { after: None, limit: Some(500) };
    for node in store::nodes(room.db(), &cursor).await? {
        if now.since(node.seen) < ALIVE {
            continue;
        }
        let mut write = room.begin().await?;
        let told = store::replicas(write.tx(), node.node).await?;
        if told.is_empty() {
            continue;
        }
        for (replica, _) in told {
            store::delete_replica(write.tx(), replica).await?;
            write.remove::<ReplicaAddress>(&replica.to_string()).await?;
        }
        write.commit().await?;
    }
    Ok(Next::Idle)
}

pub(crate) async fn list_nodes(cx: Call<State>, op: ListNodes) -> Result<Page<Node>, Error> {
    let cursor = Cursor { after: op.after, limit: op.limit };
    let mut nodes = store::nodes(cx.db(), &cursor).await?;
    let now = cx.now();
    for node in &mut nodes {
        node.alive = now.since(node.seen) < ALIVE;
    }
    Ok(Page::cut(nodes, &cursor, |node| node.node.to_string()))
}
