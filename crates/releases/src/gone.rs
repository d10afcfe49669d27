//! What is left of nodes and instances that are gone, and what is left of nodes after a restart.

use std::collections::{BTreeMap, BTreeSet};

use api::releases::ReplicaAddress;
use chassis::{Next, Room};
use types::NodeId;

use crate::{
    Error, State,
    known::{Talk, Talking},
    planning, store,
};

/// Reads at the start what is held in memory from then on.
pub(crate) async fn remember(room: Room<State>) -> Result<(), Error> {
    room.state().nodes.remember(store::nodes(room.db()).await?);
    room.state().health.extend(store::healthy(room.db()).await?);
    Ok(())
}

/// Writes down who was heard of, forgets who is gone, and makes the plan that follows.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    write_down_the_heard(&room).await?;
    for (node, talking, is_node) in room.state().nodes.silent(room.now()) {
        forget(&room, node, &talking, is_node).await?;
    }
    // Whoever waits for another plan hears of it.
    match planning::look(&room).await {
        Ok(()) => {}
        Err(Error::Starting) => return Ok(Next::Idle),
        Err(problem) => return Err(problem),
    }
    forget_their_health(&room).await?;
    Ok(Next::Idle)
}

async fn write_down_the_heard(room: &Room<State>) -> Result<(), Error> {
    let heard = room.state().nodes.unwritten();
    if heard.is_empty() {
        return Ok(());
    }
    let mut write = room.begin().await?;
    for (node, name, seen) in &heard {
        store::put_node(write.tx(), *node, name, *seen).await?;
    }
    write.commit().await?;
    room.state().nodes.written(&heard);
    Ok(())
}

/// The replicas of a node that is silent are used by nobody, and others take over. One that is no
/// node any more is forgotten.
async fn forget(
    room: &Room<State>,
    node: NodeId,
    talking: &Talking,
    is_node: bool,
) -> Result<(), Error> {
    let mut talk = talking.lock().await;
    let nothing_to_do = is_node && talk.told.as_ref().is_some_and(BTreeMap::is_empty);
    if nothing_to_do || !room.state().nodes.is_silent(node, room.now()) {
        return Ok(());
    }
    *talk = Talk::default();
    let told = store::replicas(room.db(), node).await?;
    if !is_node || !told.is_empty() {
        let mut write = room.begin().await?;
        for replica in told.keys() {
            store::delete_replica(write.tx(), *replica).await?;
            write.remove::<ReplicaAddress>(&replica.to_string()).await?;
        }
        if !is_node {
            store::delete_node(write.tx(), node).await?;
        }
        write.commit().await?;
    }
    talk.told = Some(BTreeMap::new());
    if !is_node {
        room.state().nodes.forget(node);
        room.state().planning.something_ended();
    }
    Ok(())
}

/// What was healthy last is of no use once its instance or its node is gone.
async fn forget_their_health(room: &Room<State>) -> Result<(), Error> {
    let state = room.state();
    let Some(instances) = state.planning.instances_if_some_ended() else { return Ok(()) };
    let units: Vec<String> = state.health.read().keys().cloned().collect();
    let gone: Vec<String> =
        units.into_iter().filter(|unit| !still_is(state, &instances, unit)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let deleted = async {
        let mut write = room.begin().await?;
        for unit in &gone {
            store::delete_healthy(write.tx(), unit).await?;
        }
        Ok::<_, Error>(write.commit().await?)
    };
    if let Err(problem) = deleted.await {
        state.planning.something_ended();
        return Err(problem);
    }
    state.health.forget(&gone);
    Ok(())
}

/// Whether that of which `unit` is the name is still there; see `plan::unit_of`.
fn still_is(state: &State, instances: &BTreeSet<String>, unit: &str) -> bool {
    match unit.split_once('/') {
        Some((node, _)) => node.parse().is_ok_and(|node| state.nodes.knows(node)),
        None => instances.contains(unit),
    }
}
