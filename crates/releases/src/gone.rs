//! What is left of nodes and instances that are gone, and what is left of nodes after a restart.

use std::collections::BTreeSet;

use api::releases::ReplicaAddress;
use chassis::{Next, Room};
use types::NodeId;

use crate::{
    Error, State,
    known::{Talk, Talking},
    nodes::tell_gateways,
    placing::Standing,
    planning,
    said::Told,
    store,
};

/// Reads at the start what is held in memory from then on.
pub(crate) async fn remember(room: Room<State>) -> Result<(), Error> {
    let (state, db) = (room.state(), room.db());
    let told = store::nodes_told(db).await?;
    let introduced: Vec<NodeId> = told.keys().copied().collect();
    state.nodes.remember(store::nodes(db).await?, &introduced, room.now());
    state.health.extend(store::healthy(db).await?);
    let found = store::nodes_of_replicas(db).await?;
    state.placing.remember(store::placements(db).await?, told, found);
    Ok(())
}

/// Writes down who was heard of, forgets who is gone, and makes the plan that follows.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    write_down_the_heard(&room).await?;
    let (nodes, move_after) = (&room.state().nodes, room.state().move_after);
    for (node, talking, standing) in nodes.silent(room.now(), move_after) {
        forget(&room, node, &talking, standing).await?;
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
    for (node, report, seen) in &heard {
        store::put_node(write.tx(), *node, report, *seen).await?;
    }
    write.commit().await?;
    room.state().nodes.written(&heard);
    Ok(())
}

/// The replicas of a node that is silent are asked if no other can be: its agent may be away for a
/// moment, and they are not. Once others take over, nobody uses them. A node that is none any more
/// is forgotten.
async fn forget(
    room: &Room<State>,
    node: NodeId,
    talking: &Talking,
    standing: Standing,
) -> Result<(), Error> {
    let mut talk = talking.lock().await;
    let (is_node, is_lost) = (standing != Standing::Removed, standing != Standing::Silent);
    if !room.state().nodes.is_silent(node, room.now()) {
        return Ok(());
    }
    let told = match talk.told.take() {
        Some(told) => told,
        None => store::replicas(room.db(), node).await?,
    };
    let is_silent = |address: &Option<ReplicaAddress>| address.as_ref().is_some_and(|it| it.silent);
    let is_done = if is_lost { told.is_empty() } else { told.values().all(is_silent) };
    if is_node && is_done {
        talk.told = Some(told);
        return Ok(());
    }
    // Whoever is back says all again.
    *talk = Talk::default();
    let left = if is_lost { Told::new() } else { silent(&told) };
    let mut write = room.begin().await?;
    tell_gateways(&mut write, &told, &left).await?;
    if !is_node {
        store::delete_node(write.tx(), node).await?;
    }
    write.commit().await?;
    talk.told = Some(left);
    if !is_node {
        room.state().nodes.forget(node);
        room.state().planning.something_ended();
    }
    Ok(())
}

fn silent(told: &Told) -> Told {
    let known = told.iter().filter_map(|(id, address)| Some((*id, address.clone()?)));
    known.map(|(id, address)| (id, Some(ReplicaAddress { silent: true, ..address }))).collect()
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
