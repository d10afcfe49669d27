//! Nodes: what each reports, what each should do, and which replicas the gateways may use.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::releases::{
    Desired, DesiredRelease, DesiredReplica, Drain, DrainNode, Heartbeat, ListNodes, Machine, Node,
    RefillNode, Release, ReplicaAddress, ReplicaState,
};
use chassis::{Call, Room, Write};
use types::{Digest, NodeId, Page, ReplicaId};

use crate::{
    Error, State,
    known::{Talk, Talking},
    places,
    placing::Emptying,
    planning::{self, Plan},
    said::{Draining, Report, Told},
    store,
};

const WAIT_MILLIS_MAX: u32 = 5_000;

pub(crate) async fn heartbeat(cx: Call<State>, op: Heartbeat) -> Result<Desired, Error> {
    let packages = op.sharing.as_ref().map_or(0, |sharing| sharing.packages.len());
    if op.releases.len() > 200 || op.replicas.len() > 2_000 || packages > 200 {
        return Err(Error::Report);
    }
    if let Some(fault) = op.machine.as_ref().and_then(Machine::fault) {
        return Err(Error::Machine(fault));
    }
    let (node, known, is_brief) = (op.node, op.known, op.as_before.is_some());
    let patience = Duration::from_millis(op.wait_millis.min(WAIT_MILLIS_MAX).into());
    let mut changes = cx.state().planning.watch();
    let (talking, anew) = cx.state().nodes.heard(node, &op.name, cx.now());
    if anew {
        // What waits for a node may be placed, and what it may be asked for is told first.
        places::step(cx.room().clone()).await?;
    }
    let number = take_report(&cx, &talking, op).await?;
    let waiting = tokio::time::sleep(patience);
    tokio::pin!(waiting);
    loop {
        changes.mark_unchanged();
        let desired = answer(&cx, &talking, node).await?;
        let logs = cx.state().wishes.untold(node);
        // Another report may have been heard meanwhile, as one that was late: whoever made this one
        // is told its own number, and says all again if that is not the last one.
        let report = Some(number);
        if desired.version != known {
            return Ok(Desired { logs, report, ..Desired::clone(&desired) });
        }
        let whole = || Desired {
            report,
            ..if is_brief { desired.brief() } else { Desired::clone(&desired) }
        };
        if !logs.is_empty() {
            return Ok(Desired { logs, ..whole() });
        }
        tokio::select! {
            () = &mut waiting => return Ok(whole()),
            _ = changes.changed() => {}
        }
    }
}

/// What the node is told; made anew only if its report, its share or the releases have changed.
async fn answer(
    room: &Room<State>,
    talking: &Talking,
    node: NodeId,
) -> Result<Arc<Desired>, Error> {
    let plan = planning::plan(room).await?;
    let share = plan.share(node);
    let mut talk = talking.lock().await;
    let made = talk
        .answer
        .as_ref()
        .filter(|(of, releases, _)| is_same(of, &share) && Arc::ptr_eq(releases, &plan.releases));
    if let Some((.., desired)) = made {
        return Ok(Arc::clone(desired));
    }
    let replicas = share.to_vec();
    let releases = wanted_releases(&plan, &replicas);
    let engine = room.state().engine.to_string();
    let (version, report) = (version(&releases, &replicas), Some(talk.number));
    let shares = talk.taken.as_ref().is_some_and(|(report, _)| report.sharing.is_some());
    let ticket_key = shares.then(|| room.state().signer.public_key());
    let logs = Vec::new();
    let desired = Desired { version, engine, releases, replicas, report, logs, ticket_key };
    let desired = Arc::new(desired);
    talk.answer = Some((share, Arc::clone(&plan.releases), Arc::clone(&desired)));
    Ok(desired)
}

fn is_same(one: &Arc<[DesiredReplica]>, other: &Arc<[DesiredReplica]>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// The current releases, those of which something is to run, and those that nodes have beside.
fn wanted_releases(plan: &Plan, replicas: &[DesiredReplica]) -> Vec<DesiredRelease> {
    let used = replicas.iter().filter_map(|replica| plan.releases.get(&replica.digest));
    let wanted = plan.releases.current().chain(used).chain(plan.releases.beside());
    let wanted = wanted.map(|stored| ((&stored.release.service, &stored.release.digest), stored));
    let wanted: BTreeMap<_, _> = wanted.collect();
    let is_current =
        |release: &Release| plan.releases.is_current(&release.service, &release.digest);
    let desired = wanted.into_values().map(|stored| DesiredRelease {
        is_current: is_current(&stored.release),
        digest: stored.release.digest.clone(),
        service: stored.release.service.clone(),
        manifest: stored.manifest.clone(),
        public_key: stored.release.public_key.clone(),
        signature: stored.release.signature.clone(),
    });
    desired.collect()
}

/// A number for a state: equal states have equal numbers.
fn version(releases: &[DesiredRelease], replicas: &[DesiredReplica]) -> u64 {
    let digests: Vec<_> =
        releases.iter().map(|release| (&release.digest, release.is_current)).collect();
    let text = serde_json::to_vec(&(digests, replicas)).unwrap_or_default();
    let hex = Digest::of(&text);
    u64::from_str_radix(&hex.hex()[..15], 16).unwrap_or(1)
}

/// Takes what a node says, and lets it follow: the gateways hear of what is healthy. What was said
/// before, about the same share, was taken before. Answers the report's number.
async fn take_report(cx: &Call<State>, talking: &Talking, op: Heartbeat) -> Result<u64, Error> {
    let node = op.node;
    let plan = planning::plan(cx).await?;
    let share = plan.share(node);
    let mut talk = talking.lock().await;
    let report = report_of(op, &talk)?;
    if talk.taken.as_ref().is_some_and(|(last, of)| *last == report && is_same(of, &share)) {
        return Ok(talk.number);
    }
    let serving = serving(&report, &share);
    let told = told(&mut talk, cx, node).await?;
    let addresses = serving.into_iter().map(|(id, (planned, address))| {
        let former = told.get(&id).and_then(Option::as_ref).filter(|it| it.address == address);
        let unproven = former.is_none_or(|it| it.unproven);
        let address = ReplicaAddress { unproven, ..told_of(planned, address, node, &plan) };
        (id, Some(address))
    });
    let addresses: Told = addresses.collect();
    let now = cx.now();
    let is_news = told != addresses;
    if is_news {
        let mut write = cx.begin().await?;
        store::put_node(write.tx(), node, &report, now).await?;
        tell_gateways(&mut write, &told, &addresses).await?;
        write.commit().await?;
    }
    cx.state().nodes.reported(node, &report, is_news.then_some(now));
    if !plan.behind.is_empty() {
        cx.nudge();
    }
    let number = u64::try_from(now.micros()).unwrap_or_default().max(talk.number + 1);
    *talk = Talk { taken: Some((report, share)), number, told: Some(addresses), answer: None };
    Ok(number)
}

/// What is reported, or what was reported last if that is said to hold still.
fn report_of(op: Heartbeat, talk: &Talk) -> Result<Arc<Report>, Error> {
    let Heartbeat { name, releases, replicas, isolation, as_before, machine, sharing, .. } = op;
    let Some(number) = as_before else {
        let machine = machine.unwrap_or_default();
        return Ok(Arc::new(Report { name, releases, replicas, isolation, machine, sharing }));
    };
    let last = talk.taken.as_ref().filter(|_| talk.number == number);
    last.map(|(report, _)| Arc::clone(report)).ok_or(Error::UnknownReport)
}

/// The replicas that serve, with their addresses. A node is believed about what it was asked to
/// run, and about nothing else: whose replica it is stands in the plan, not in the report.
fn serving<'p>(report: &Report, planned: &'p [DesiredReplica]) -> Serving<'p> {
    let planned: BTreeMap<ReplicaId, &DesiredReplica> =
        planned.iter().map(|plan| (plan.replica, plan)).collect();
    let healthy = report.replicas.iter().filter(|replica| replica.state == ReplicaState::Healthy);
    let serving = healthy.filter_map(|replica| {
        let plan = planned.get(&replica.replica).filter(|plan| plan.serves())?;
        Some((replica.replica, (*plan, replica.address.clone())))
    });
    serving.collect()
}

type Serving<'p> = BTreeMap<ReplicaId, (&'p DesiredReplica, String)>;

fn told_of(planned: &DesiredReplica, address: String, node: NodeId, plan: &Plan) -> ReplicaAddress {
    ReplicaAddress {
        replica: planned.replica,
        service: planned.service.clone(),
        release: Some(planned.digest.clone()),
        instance: planned.instance,
        process: planned.process.clone(),
        account: planned.instance.and_then(|instance| plan.owners.get(&instance).copied()),
        node,
        address,
        silent: false,
        unproven: true,
    }
}

/// What the gateways were told of a node. Whoever asks puts back what holds then.
pub(crate) async fn told(talk: &mut Talk, room: &Room<State>, node: NodeId) -> Result<Told, Error> {
    match talk.told.take() {
        Some(told) => Ok(told),
        None => Ok(store::replicas(room.db(), node).await?),
    }
}

/// Tells of what serves now in place of what was told.
pub(crate) async fn tell_gateways(
    write: &mut Write<State>,
    told: &Told,
    serving: &Told,
) -> Result<(), Error> {
    for replica in told.keys().filter(|replica| !serving.contains_key(replica)) {
        write.state().reached.forget(*replica);
        store::delete_replica(write.tx(), *replica).await?;
        write.remove::<ReplicaAddress>(&replica.to_string()).await?;
    }
    for (id, address) in serving {
        if let Some(address) = address.as_ref().filter(|_| told.get(id) != Some(address)) {
            store::put_replica(write.tx(), address).await?;
            write.put(address).await?;
        }
    }
    Ok(())
}

pub(crate) async fn list_nodes(cx: Call<State>, op: ListNodes) -> Result<Page<Node>, Error> {
    let cursor = op.cursor();
    let nodes = cx.state().nodes.list(&cursor, cx.now());
    let mut page = Page::cut(nodes, &cursor, |node| node.node.to_string());
    page.items.iter_mut().for_each(|node| add_placed(&cx, node));
    Ok(page)
}

/// What follows from what is placed there.
fn add_placed(room: &Room<State>, node: &mut Node) {
    let state = room.state();
    node.promised = state.placing.promised(node.node);
    node.drain = state.nodes.draining(node.node).map(|(since, until)| {
        let Emptying { left, stays, waits_for } = state.placing.emptying(node.node);
        Drain { since, until, left, waits_for, stays }
    });
}

pub(crate) async fn drain_node(cx: Call<State>, op: DrainNode) -> Result<Node, Error> {
    if !(1..=86_400).contains(&op.deadline_seconds) {
        return Err(Error::Deadline);
    }
    let now = cx.now();
    let until = now.plus(Duration::from_secs(op.deadline_seconds.into()));
    // Asked again, it only gets another deadline.
    let since = cx.state().nodes.draining(op.node).map_or(now, |(since, _)| since);
    set_draining(&cx, op.node, Some((since, until))).await
}

pub(crate) async fn refill_node(cx: Call<State>, op: RefillNode) -> Result<Node, Error> {
    set_draining(&cx, op.node, None).await
}

/// Answers when it has been looked at what follows.
async fn set_draining(
    cx: &Call<State>,
    node: NodeId,
    draining: Option<Draining>,
) -> Result<Node, Error> {
    if !cx.state().nodes.knows(node) {
        return Err(Error::NoNode);
    }
    let mut write = cx.begin().await?;
    store::set_draining(write.tx(), node, draining).await?;
    write.commit().await?;
    if !cx.state().nodes.set_draining(node, draining) {
        return Err(Error::NoNode);
    }
    places::step(cx.room().clone()).await?;
    cx.nudge();
    let mut node = cx.state().nodes.shown(node, cx.now()).ok_or(Error::NoNode)?;
    add_placed(cx, &mut node);
    Ok(node)
}
