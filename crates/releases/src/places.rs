//! Where everything is, as it is written down and told to whoever gives nodes what they need.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use api::{
    configurator::Route,
    manifest::{Manifest, Tenancy, WEB},
    releases::{NodeServices, Placement, Promised},
};
use chassis::{Next, Room, Write};
use db::EngineKind;
use types::{InstanceId, NodeId, ReplicaId};

use crate::{
    Error, State,
    in_use::InUse,
    placing::{Decisions, Emptying, Host, Need, Placed, Places, Running, Standing, decide},
    plan::{replica_id, runs},
    planning::{self, Plan},
    store,
};

/// So many are written down at once.
const AT_ONCE: usize = 500;

/// What is kept in memory of places.
#[derive(Default)]
pub(crate) struct Placing {
    places: RwLock<Places>,
    /// Whether it was looked since the start.
    looked: AtomicBool,
    outlook: RwLock<Outlook>,
    /// What is told of nodes.
    told: Mutex<HashMap<NodeId, NodeServices>>,
    /// Where replicas were when this was started.
    found: Mutex<HashMap<ReplicaId, NodeId>>,
    /// What was looked at last.
    last: Mutex<Option<(u64, Vec<Host>)>>,
    /// Held by whoever places.
    turn: tokio::sync::Mutex<()>,
}

/// What the last decisions say of the present.
#[derive(Default)]
struct Outlook {
    waits: HashMap<InstanceId, String>,
    promised: HashMap<NodeId, Promised>,
    emptying: HashMap<NodeId, Emptying>,
    /// Something is on its way.
    moves: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Placing {
    /// Takes over what is written down.
    pub(crate) fn remember(
        &self,
        places: Places,
        told: HashMap<NodeId, NodeServices>,
        found: HashMap<ReplicaId, NodeId>,
    ) {
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = places;
        *locked(&self.told) = told;
        *locked(&self.found) = found;
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether places can be relied on: what was placed nowhere so far has been looked at.
    pub(crate) fn is_known(&self) -> bool {
        self.looked.load(Ordering::Acquire)
    }

    fn outlook(&self) -> RwLockReadGuard<'_, Outlook> {
        self.outlook.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an instance waits for that cannot be placed or whose node is silent.
    pub(crate) fn waits_for(&self, instance: InstanceId) -> Option<String> {
        self.outlook().waits.get(&instance).cloned()
    }

    pub(crate) fn promised(&self, node: NodeId) -> Promised {
        self.outlook().promised.get(&node).copied().unwrap_or_default()
    }

    pub(crate) fn emptying(&self, node: NodeId) -> Emptying {
        self.outlook().emptying.get(&node).cloned().unwrap_or_default()
    }
}

/// Places what is new, moves what must, and tells who needs to know. As long as nothing of that has
/// changed, it costs nothing that grows with the instances.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let (state, now) = (room.state(), room.now());
    let _turn = state.placing.turn.lock().await;
    let plan = match planning::prepared(&room).await {
        Err(Error::Starting) => return Ok(Next::Idle),
        plan => plan?,
    };
    let hosts = state.nodes.hosts(now, state.move_after);
    tell_of_nodes(&room, &plan.releases, &hosts).await?;
    yield_what_is_healthy_elsewhere(&room, &plan, &hosts);
    let moves = state.placing.outlook().moves;
    let drains = hosts.iter().any(|host| host.drains && !host.yields);
    let rest = if moves || drains { Next::Soon } else { Next::Idle };
    let seen = Some((plan.inputs(), hosts));
    if !moves && *locked(&state.placing.last) == seen {
        return Ok(rest);
    }
    let (_, hosts) = seen.as_ref().expect("it was just put there");
    let needs = needs(state, &plan.releases)?;
    let decisions = {
        let seen = Seen::new(state);
        decide(&needs, &state.placing.read(), hosts, &seen)
    };
    let is_news = !decisions.changes.is_empty();
    write_down(&room, &needs, &decisions).await?;
    let Decisions { waits, promised, emptying, moving, .. } = decisions;
    let outlook = Outlook { waits, promised, emptying, moves: moving > 0 };
    *state.placing.outlook.write().unwrap_or_else(PoisonError::into_inner) = outlook;
    *locked(&state.placing.last) = seen;
    let first = !state.placing.looked.swap(true, Ordering::AcqRel);
    locked(&state.placing.found).clear();
    if is_news || first {
        state.planning.something_changed();
        // The plan has another number now; what it follows from is what was looked at.
        if let Some((inputs, _)) = locked(&state.placing.last).as_mut() {
            *inputs += 1;
        }
    }
    Ok(if moving > 0 { Next::Soon } else { rest })
}

/// Commits in parts, each of which everybody has heard before a node is told to run anything.
async fn write_down(
    room: &Room<State>,
    needs: &[Need],
    decisions: &Decisions,
) -> Result<(), Error> {
    let needs: HashMap<InstanceId, &Need> = if decisions.changes.is_empty() {
        HashMap::new()
    } else {
        needs.iter().map(|need| (need.instance, need)).collect()
    };
    for changes in decisions.changes.chunks(AT_ONCE) {
        let mut write = room.begin().await?;
        for (instance, placed) in changes {
            if let (Some(placed), Some(need)) = (placed, needs.get(instance)) {
                store::put_placement(write.tx(), *instance, *placed).await?;
                write.put(&document(need, *placed)).await?;
            } else {
                store::delete_placement(write.tx(), *instance).await?;
                write.remove::<Placement>(&instance.to_string()).await?;
            }
        }
        wait_for_copies(&mut write);
        write.commit().await?;
        let mut places =
            room.state().placing.places.write().unwrap_or_else(PoisonError::into_inner);
        for (instance, placed) in changes {
            match placed {
                Some(there) => places.insert(*instance, *there),
                None => places.remove(instance),
            };
        }
    }
    Ok(())
}

/// Whoever gives nodes what they need hears of it before they are told. What is found at a start has
/// been told before, and those who followed then may be gone.
fn wait_for_copies(write: &mut Write<State>) {
    if write.state().placing.is_known() {
        write.wait_for_copies();
    }
}

fn document(need: &Need, placed: Placed) -> Placement {
    Placement {
        instance: need.instance,
        account: need.account,
        service: need.service.clone(),
        node: placed.node,
        former: placed.former,
    }
}

/// Says which services each node runs for all their instances, before it is asked to.
async fn tell_of_nodes(room: &Room<State>, releases: &InUse, hosts: &[Host]) -> Result<(), Error> {
    let there = hosts.iter().filter(|host| host.standing != Standing::Removed);
    let wanted: BTreeMap<NodeId, NodeServices> =
        there.map(|host| (host.node, services_on(host, releases))).collect();
    let (news, gone) = {
        let told = locked(&room.state().placing.told);
        let news = wanted.values().filter(|wanted| told.get(&wanted.node) != Some(wanted));
        let news: Vec<NodeServices> = news.cloned().collect();
        let gone = told.keys().filter(|node| !wanted.contains_key(node));
        (news, gone.copied().collect::<Vec<NodeId>>())
    };
    if news.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let mut write = room.begin().await?;
    for services in &news {
        if let Some(report) = room.state().nodes.report(services.node) {
            store::put_node(write.tx(), services.node, &report.0, report.1).await?;
        }
        store::set_node_told(write.tx(), services).await?;
        write.put(services).await?;
    }
    for node in &gone {
        write.remove::<NodeServices>(&node.to_string()).await?;
    }
    wait_for_copies(&mut write);
    write.commit().await?;
    *locked(&room.state().placing.told) = wanted.into_iter().collect();
    let nodes: Vec<NodeId> = news.iter().map(|services| services.node).collect();
    room.state().nodes.introduced(&nodes);
    room.state().planning.nodes_changed();
    Ok(())
}

fn services_on(host: &Host, releases: &InUse) -> NodeServices {
    let shared = releases.all().filter(|stored| is_shared(&stored.manifest));
    let labelled = shared.filter(|stored| host.machine.has(&stored.manifest.placement.labels));
    let services = labelled.map(|stored| stored.release.service.clone());
    let (node, name) = (host.node, host.name.clone());
    NodeServices { node, name, services: services.collect(), drains: host.drains }
}

fn is_shared(manifest: &Manifest) -> bool {
    manifest.service.tenancy == Tenancy::Shared
}

/// What a node that is emptied runs for all instances ends there as soon as it is healthy elsewhere.
fn yield_what_is_healthy_elsewhere(room: &Room<State>, plan: &Plan, hosts: &[Host]) {
    let state = room.state();
    for host in hosts.iter().filter(|host| host.drains && !host.yields) {
        let others = hosts.iter().filter(|other| {
            other.node != host.node && other.standing == Standing::Alive && !other.drains
        });
        let others: BTreeSet<NodeId> = others.map(|other| other.node).collect();
        let services = plan.releases.all().filter(|stored| is_shared(&stored.manifest));
        let mut here =
            services.filter(|stored| host.machine.has(&stored.manifest.placement.labels));
        let is_elsewhere = here.all(|stored| {
            let release = &stored.release;
            others.iter().any(|node| state.nodes.serves(*node, &release.service, &release.digest))
        });
        if is_elsewhere {
            state.nodes.yields(host.node);
            state.planning.nodes_changed();
        }
    }
}

/// What is known of processes from what nodes report.
struct Seen<'s> {
    state: &'s State,
    found: HashMap<ReplicaId, NodeId>,
    nodes: BTreeSet<NodeId>,
}

impl<'s> Seen<'s> {
    fn new(state: &'s State) -> Self {
        let found = locked(&state.placing.found).clone();
        let nodes = found.values().copied().collect();
        Self { state, found, nodes }
    }
}

impl Running for Seen<'_> {
    fn is_healthy(&self, need: &Need, node: NodeId) -> bool {
        self.state.nodes.is_healthy(node, need.instance, &need.release)
    }

    fn found(&self, need: &Need) -> Option<NodeId> {
        let what = (&need.service, Some(need.instance));
        let id = |node| replica_id(node, what, &need.release, (WEB, 0));
        self.nodes.iter().copied().find(|node| self.found.get(&id(*node)) == Some(node))
    }
}

/// What all instances need, in the order of their ids.
fn needs(state: &State, releases: &InUse) -> Result<Vec<Need>, Error> {
    let mut needs = Vec::new();
    state.planning.each_route(|route| {
        if let Some(stored) = releases.get(&route.release) {
            needs.push(need(route, &stored.manifest, state.engine));
        }
    })?;
    needs.sort_unstable_by_key(|need| need.instance);
    Ok(needs)
}

fn need(route: &Route, manifest: &Manifest, engine: EngineKind) -> Need {
    let size = manifest.sizes.get(&route.size);
    Need {
        instance: route.instance,
        account: route.account,
        service: route.service.clone(),
        release: route.release.clone(),
        shared: is_shared(manifest),
        labels: manifest.placement.labels.clone(),
        memory: size.map_or(0, |size| size.memory),
        cpu: size.map_or(0, |size| size.cpu),
        bound: is_bound(manifest, engine),
        runs: runs(route),
    }
}

/// Whether an instance has data on its node, without which it must not run elsewhere.
fn is_bound(manifest: &Manifest, engine: EngineKind) -> bool {
    let has_file = engine == EngineKind::Sqlite && manifest.database.is_some();
    has_file || !manifest.run.volumes.is_empty()
}
