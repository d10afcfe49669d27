//! What is left of nodes and instances that are gone, and what is left of nodes after a restart.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

use api::releases::{ReplicaAddress, ReplicaState};
use chassis::{Next, Room};
use types::{Digest, InstanceId, NodeId};

use crate::{
    Error, State,
    known::{Talk, Talking},
    nodes::{tell_gateways, told},
    placing::Standing,
    planning,
    said::Told,
    store,
};

/// Reads at the start what is held in memory from then on, once packages can be stored.
pub(crate) async fn remember(room: Room<State>) -> Result<(), Error> {
    let (state, db) = (room.state(), room.db());
    state.storage.check().await?;
    let told = store::nodes_told(db).await?;
    let introduced: Vec<NodeId> = told.keys().copied().collect();
    state.nodes.remember(store::nodes(db).await?, &introduced, room.now());
    let found = store::nodes_of_replicas(db).await?;
    state.placing.remember(store::placements(db).await?, told, found);
    Ok(())
}

/// Writes down who was heard of, forgets who is gone, and makes the plan that follows.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    write_down_the_heard(&room).await?;
    let (nodes, move_after) = (&room.state().nodes, room.state().move_after);
    let silent = nodes.silent(room.now(), move_after);
    let served = Served::by_the_living(&room, !silent.is_empty());
    for (node, talking, standing) in silent {
        forget(&room, node, &talking, (standing, &served)).await?;
    }
    // Whoever waits for another plan hears of it.
    match planning::look(&room).await {
        Ok(()) => {}
        Err(Error::Starting) => return Ok(Next::Idle),
        Err(problem) => return Err(problem),
    }
    Ok(Next::Idle)
}

async fn write_down_the_heard(room: &Room<State>) -> Result<(), Error> {
    let heard = room.state().nodes.unwritten();
    if heard.is_empty() {
        return Ok(());
    }
    let mut write = room.begin().await?;
    for (node, report, seen) in &heard {
        store::put_node(write.tx(), *node, report, *seen).await?;
    }
    write.commit().await?;
    room.state().nodes.written(&heard);
    Ok(())
}

/// The replicas of a node that is silent are asked if no other can be: its agent may be away, and they
/// are not. Once the node is lost that holds only for those in whose place nobody serves. A node that is
/// none any more is forgotten.
async fn forget(
    room: &Room<State>,
    node: NodeId,
    talking: &Talking,
    (standing, served): (Standing, &Served),
) -> Result<(), Error> {
    let mut talk = talking.lock().await;
    if !room.state().nodes.is_silent(node, room.now()) {
        return Ok(());
    }
    let told = told(&mut talk, room, node).await?;
    let mut left = silent(&told);
    match standing {
        Standing::Alive | Standing::Silent => {}
        Standing::Lost => left.retain(|_, address| served.lacks(room, address.as_ref())),
        Standing::Removed => left.clear(),
    }
    let is_node = standing != Standing::Removed;
    if is_node && left == told {
        talk.told = Some(told);
        return Ok(());
    }
    // Whoever is back says all again.
    *talk = Talk::default();
    let mut write = room.begin().await?;
    tell_gateways(&mut write, &told, &left).await?;
    if !is_node {
        store::delete_node(write.tx(), node).await?;
    }
    write.commit().await?;
    talk.told = Some(left);
    if !is_node {
        room.state().nodes.forget(node);
    }
    Ok(())
}

/// What the living serve, and from which addresses.
#[derive(Default)]
struct Served {
    processes: HashSet<(Option<Digest>, Option<InstanceId>, String)>,
    machines: HashSet<IpAddr>,
}

impl Served {
    /// Looks, if anybody wants to know.
    fn by_the_living(room: &Room<State>, is_wanted: bool) -> Self {
        let mut served = Self::default();
        let reports = if is_wanted { room.state().nodes.reports(room.now()) } else { Vec::new() };
        for replica in reports.iter().flat_map(|report| &report.replicas) {
            served.machines.extend(machine_of(&replica.address));
            if replica.state == ReplicaState::Healthy {
                let process = replica.process.clone();
                let release = Some(replica.digest.clone());
                served.processes.insert((release, replica.instance, process));
            }
        }
        served
    }

    /// Whether a replica that may still run is the only one to ask. A machine of the same address may
    /// be another one by now, whose replicas are other instances'.
    fn lacks(&self, room: &Room<State>, replica: Option<&ReplicaAddress>) -> bool {
        let Some(replica) = replica else { return false };
        let ReplicaAddress { release, instance, process, address, .. } = replica;
        let is_anothers = machine_of(address).is_none_or(|it| self.machines.contains(&it));
        let is_there =
            |instance| room.state().planning.route(instance).is_ok_and(|it| it.is_some());
        !is_anothers
            && instance.is_none_or(is_there)
            && !self.processes.contains(&(release.clone(), *instance, process.clone()))
    }
}

fn machine_of(address: &str) -> Option<IpAddr> {
    Some(address.parse::<SocketAddr>().ok()?.ip())
}

fn silent(told: &Told) -> Told {
    let known = told.iter().filter_map(|(id, address)| Some((*id, address.clone()?)));
    known.map(|(id, address)| (id, Some(ReplicaAddress { silent: true, ..address }))).collect()
}
