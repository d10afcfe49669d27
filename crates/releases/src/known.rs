//! The nodes as they were heard of last, in memory: a heartbeat that says nothing new asks no
//! database, and costs nothing that grows with what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{
    identity::NodeKey,
    releases::{
        Desired, DesiredReplica, Machine, Node, Promised, ReleaseState, ReplicaReport, ReplicaState,
    },
};
use chassis::Update;
use types::{Cursor, Digest, InstanceId, Name, NodeId, Timestamp};

use crate::{
    in_use::Releases,
    placing::{Host, Standing},
    said::{Draining, Report, Told, Written},
};

/// A node that was not heard of for longer is silent.
pub(crate) const ALIVE: Duration = Duration::from_secs(15);
/// When a node was heard of is written down as rarely.
const WRITTEN_AGAIN: Duration = Duration::from_secs(5);
const LONG_AGO: Timestamp = Timestamp::from_micros(i64::MIN);
const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// What a node's reports have come to. Held by whoever takes one, so that they are taken in turn.
#[derive(Default)]
pub(crate) struct Talk {
    /// The report that was taken last, and the share that it was held against.
    pub(crate) taken: Option<(Arc<Report>, Arc<[DesiredReplica]>)>,
    /// The number of that report.
    pub(crate) number: u64,
    /// What the gateways were told; if absent, it stands in the database.
    pub(crate) told: Option<Told>,
    /// What the node is told, of that share and these releases.
    pub(crate) answer: Option<(Arc<[DesiredReplica]>, Releases, Arc<Desired>)>,
}

/// A node's [`Talk`].
pub(crate) type Talking = Arc<tokio::sync::Mutex<Talk>>;

/// A node that does not have a release ready.
pub(crate) struct Unready {
    pub(crate) node: NodeId,
    pub(crate) name: Name,
    /// How far it is; nothing if it has not begun.
    pub(crate) state: Option<ReleaseState>,
    pub(crate) log: String,
}

/// A node that gives packages to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sharer {
    pub(crate) node: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) session: u64,
}

/// All nodes.
#[derive(Default)]
pub(crate) struct Nodes(Mutex<Heard>);

struct Heard {
    nodes: BTreeMap<NodeId, Known>,
    /// Who has a key; `None` before the first snapshot.
    keys: Option<BTreeSet<NodeId>>,
    /// Since when anybody can be heard: nobody was silent before.
    opened: Timestamp,
    /// Who lives, as long as it is not `until`.
    alive: Arc<[Host]>,
    until: Timestamp,
}

struct Known {
    report: Arc<Report>,
    seen: Timestamp,
    written: Timestamp,
    draining: Option<Draining>,
    /// It is emptied, and what it runs for all instances is healthy elsewhere.
    yields: bool,
    /// Whoever gives nodes what they need has heard what this one runs for all instances.
    introduced: bool,
    talking: Talking,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            keys: None,
            opened: LONG_AGO,
            alive: [].into(),
            until: LONG_AGO,
        }
    }
}

impl Heard {
    fn is_node(&self, node: NodeId) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.contains(&node))
    }

    /// For how long nothing was heard of a node that could have been.
    fn silence(&self, known: &Known, now: Timestamp) -> Duration {
        if known.is_removed() { Duration::MAX } else { now.since(known.seen.max(self.opened)) }
    }

    fn host(&self, node: NodeId, now: Timestamp, move_after: Option<Duration>) -> Option<Host> {
        let known = self.nodes.get(&node)?;
        let silence = self.silence(known, now);
        let standing = if known.is_removed() || !self.is_node(node) {
            Standing::Removed
        } else if known.lives(now) {
            Standing::Alive
        } else if move_after.is_some_and(|after| silence >= after) {
            Standing::Lost
        } else {
            Standing::Silent
        };
        let Report { name, machine, .. } = &*known.report;
        Some(Host {
            node,
            name: name.clone(),
            machine: machine.clone(),
            standing,
            drains: known.draining.is_some(),
            yields: known.yields,
        })
    }
}

impl Known {
    fn new(name: Name, machine: Machine, seen: Timestamp, written: Timestamp) -> Self {
        let (releases, replicas) = (Vec::new(), Vec::new());
        let (isolation, sharing) = (None, None);
        let report = Report { name, releases, replicas, isolation, machine, sharing };
        let report = Arc::new(report);
        let (draining, yields, introduced) = (None, false, false);
        Self { report, seen, written, draining, yields, introduced, talking: Talking::default() }
    }

    /// Nothing is expected of it any more.
    fn is_removed(&self) -> bool {
        self.seen == LONG_AGO
    }

    fn lives(&self, now: Timestamp) -> bool {
        now.since(self.seen) < ALIVE
    }

    fn shown(&self, node: NodeId, now: Timestamp) -> Node {
        let Report { name, releases, replicas, isolation, machine, sharing } =
            Report::clone(&self.report);
        Node {
            node,
            name,
            seen: self.seen,
            alive: self.lives(now),
            releases,
            replicas,
            isolation,
            machine,
            promised: Promised::default(),
            drain: None,
            shares_at: sharing.map(|sharing| sharing.address),
        }
    }
}

impl Nodes {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is written down.
    pub(crate) fn remember(&self, nodes: Vec<Written>, introduced: &[NodeId], now: Timestamp) {
        let mut heard = self.lock();
        heard.opened = now;
        heard.nodes.extend(nodes.into_iter().map(|written| {
            let Written { node, name, seen, machine, draining } = written;
            let introduced = introduced.contains(&node);
            (node, Known { draining, introduced, ..Known::new(name, machine, seen, seen) })
        }));
    }

    /// The node has been heard of. Says also whether it was not, for a while or ever.
    pub(crate) fn heard(&self, node: NodeId, name: &Name, now: Timestamp) -> (Talking, bool) {
        let mut heard = self.lock();
        let anew = heard.alive.binary_search_by_key(&node, |host| host.node).is_err();
        heard.until = if anew { LONG_AGO } else { heard.until.min(now.plus(ALIVE)) };
        let known = heard.nodes.entry(node);
        let machine = Machine::default();
        let known = known.or_insert_with(|| Known::new(name.clone(), machine, now, LONG_AGO));
        known.seen = now;
        (Arc::clone(&known.talking), anew)
    }

    /// What the reports of a node have come to, if it is one.
    pub(crate) fn talking(&self, node: NodeId) -> Option<Talking> {
        self.lock().nodes.get(&node).map(|known| Arc::clone(&known.talking))
    }

    /// The node's report was taken; `written` says when the node was heard of if that was written.
    pub(crate) fn reported(&self, node: NodeId, report: &Arc<Report>, written: Option<Timestamp>) {
        let mut heard = self.lock();
        let Some(known) = heard.nodes.get_mut(&node) else { return };
        let is_other = known.report.machine != report.machine || known.report.name != report.name;
        known.report = Arc::clone(report);
        known.written = written.unwrap_or(known.written);
        if is_other {
            heard.until = LONG_AGO;
        }
    }

    /// The node is emptied, or not any more. Answers whether there is such a node.
    pub(crate) fn set_draining(&self, node: NodeId, draining: Option<Draining>) -> bool {
        let mut heard = self.lock();
        let known = heard.nodes.get_mut(&node).filter(|known| !known.is_removed());
        let Some(known) = known else { return false };
        (known.draining, known.yields) = (draining, false);
        heard.until = LONG_AGO;
        true
    }

    pub(crate) fn draining(&self, node: NodeId) -> Option<Draining> {
        self.lock().nodes.get(&node).and_then(|known| known.draining)
    }

    /// What the node runs for all instances is healthy elsewhere.
    pub(crate) fn yields(&self, node: NodeId) {
        let mut heard = self.lock();
        if let Some(known) = heard.nodes.get_mut(&node) {
            known.yields = known.draining.is_some();
            heard.until = LONG_AGO;
        }
    }

    /// Whoever gives nodes what they need knows of these.
    pub(crate) fn introduced(&self, nodes: &[NodeId]) {
        let mut heard = self.lock();
        for node in nodes {
            if let Some(known) = heard.nodes.get_mut(node) {
                known.introduced = true;
            }
        }
        heard.until = LONG_AGO;
    }

    /// All nodes, also those that are gone and not yet forgotten.
    pub(crate) fn hosts(&self, now: Timestamp, move_after: Option<Duration>) -> Vec<Host> {
        let heard = self.lock();
        heard.nodes.keys().filter_map(|node| heard.host(*node, now, move_after)).collect()
    }

    /// What a node said last, and when.
    pub(crate) fn report(&self, node: NodeId) -> Option<(Arc<Report>, Timestamp)> {
        self.lock().nodes.get(&node).map(|known| (Arc::clone(&known.report), known.seen))
    }

    /// Whether a node says that it runs a release for all instances, and that this is healthy.
    pub(crate) fn serves(&self, node: NodeId, service: &Name, digest: &Digest) -> bool {
        let heard = self.lock();
        heard.nodes.get(&node).is_some_and(|known| {
            known.report.replicas.iter().any(|replica| {
                replica.instance.is_none()
                    && replica.serves()
                    && (&replica.service, &replica.digest) == (service, digest)
                    && replica.state == ReplicaState::Healthy
            })
        })
    }

    /// Whether a node says that what an instance has there of a release is healthy.
    pub(crate) fn is_healthy(&self, node: NodeId, instance: InstanceId, release: &Digest) -> bool {
        let heard = self.lock();
        let Some(known) = heard.nodes.get(&node) else { return false };
        let all = known.report.replicas.iter().filter(|replica| replica.digest == *release);
        let own: Vec<_> = all.filter(|replica| replica.instance == Some(instance)).collect();
        own.iter().any(|replica| replica.serves())
            && own.iter().all(|replica| replica.state == ReplicaState::Healthy)
    }

    /// Who lives and is introduced: the same list for as long as they are the same.
    pub(crate) fn alive(&self, now: Timestamp) -> Arc<[Host]> {
        let mut heard = self.lock();
        if now >= heard.until {
            let alive = heard.nodes.iter().filter(|(_, known)| known.lives(now));
            let first = alive.clone().map(|(_, known)| known.seen.plus(ALIVE)).min();
            let alive = alive.filter(|(_, known)| known.introduced);
            let alive: Vec<Host> =
                alive.filter_map(|(node, _)| heard.host(*node, now, None)).collect();
            heard.until = first.unwrap_or(NEVER);
            if *heard.alive != *alive {
                heard.alive = alive.into();
            }
        }
        Arc::clone(&heard.alive)
    }

    /// What the living have said.
    pub(crate) fn reports(&self, now: Timestamp) -> Vec<Arc<Report>> {
        let heard = self.lock();
        let living = heard.nodes.values().filter(|known| known.lives(now));
        living.map(|known| Arc::clone(&known.report)).collect()
    }

    /// The living that do not have a release ready.
    pub(crate) fn unready(&self, now: Timestamp, release: &Digest) -> Vec<Unready> {
        let heard = self.lock();
        let living = heard.nodes.iter().filter(|(_, known)| known.lives(now));
        let unready = living.filter_map(|(node, known)| {
            let said = known.report.releases.iter().find(|said| said.digest == *release);
            let (node, name) = (*node, known.report.name.clone());
            match said {
                Some(said) if said.state == ReleaseState::Ready => None,
                Some(said) => {
                    let (state, log) = (Some(said.state), said.log.clone());
                    Some(Unready { node, name, state, log })
                }
                None => Some(Unready { node, name, state: None, log: String::new() }),
            }
        });
        unready.collect()
    }

    /// The living that give a package to others.
    pub(crate) fn sharing(&self, digest: &Digest, now: Timestamp) -> Vec<Sharer> {
        let heard = self.lock();
        let living = heard.nodes.iter().filter(|(_, known)| known.lives(now));
        let sharing = living.filter_map(|(node, known)| {
            let sharing = known.report.sharing.as_ref()?;
            let (address, session) = (sharing.address, sharing.session);
            sharing.packages.contains(digest).then_some(Sharer { node: *node, address, session })
        });
        sharing.collect()
    }

    /// The living that run something of which this is so.
    pub(crate) fn running(
        &self,
        now: Timestamp,
        is_meant: impl Fn(&ReplicaReport) -> bool,
    ) -> Vec<NodeId> {
        let heard = self.lock();
        let living = heard.nodes.iter().filter(|(_, known)| known.lives(now));
        let runs = |known: &Known| known.report.replicas.iter().any(&is_meant);
        living.filter(|(_, known)| runs(known)).map(|(node, _)| *node).collect()
    }

    /// A page of all nodes, and one more.
    pub(crate) fn list(&self, cursor: &Cursor, now: Timestamp) -> Vec<Node> {
        let heard = self.lock();
        let nodes = heard.nodes.iter().filter(|(_, known)| !known.is_removed());
        let after = nodes.skip_while(|(node, _)| node.to_string().as_str() <= cursor.key());
        let rows = after.take(cursor.limit() as usize + 1);
        rows.map(|(node, known)| known.shown(*node, now)).collect()
    }

    /// A node as people are shown it.
    pub(crate) fn shown(&self, node: NodeId, now: Timestamp) -> Option<Node> {
        self.lock().nodes.get(&node).map(|known| known.shown(node, now))
    }

    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.lock().nodes.contains_key(&node)
    }

    /// Whose being heard of is to be written down.
    pub(crate) fn unwritten(&self) -> Vec<(NodeId, Arc<Report>, Timestamp)> {
        let heard = self.lock();
        let late = heard.nodes.iter().filter(|(_, known)| {
            !known.is_removed() && known.seen.since(known.written) >= WRITTEN_AGAIN
        });
        late.map(|(node, known)| (*node, Arc::clone(&known.report), known.seen)).collect()
    }

    pub(crate) fn written(&self, nodes: &[(NodeId, Arc<Report>, Timestamp)]) {
        let mut heard = self.lock();
        for (node, _, seen) in nodes {
            if let Some(known) = heard.nodes.get_mut(node) {
                known.written = *seen;
            }
        }
    }

    /// Who has been silent for a while, and how each stands.
    pub(crate) fn silent(
        &self,
        now: Timestamp,
        move_after: Option<Duration>,
    ) -> Vec<(NodeId, Talking, Standing)> {
        let heard = self.lock();
        let silent = heard.nodes.iter().filter(|(_, known)| heard.silence(known, now) >= ALIVE);
        let told = silent.filter_map(|(node, known)| {
            let standing = heard.host(*node, now, move_after)?.standing;
            Some((*node, Arc::clone(&known.talking), standing))
        });
        told.collect()
    }

    pub(crate) fn is_silent(&self, node: NodeId, now: Timestamp) -> bool {
        let heard = self.lock();
        heard.nodes.get(&node).is_some_and(|known| heard.silence(known, now) >= ALIVE)
    }

    pub(crate) fn forget(&self, node: NodeId) {
        self.lock().nodes.remove(&node);
    }

    /// Hears who has a key. Who was removed is not heard of any more.
    pub(crate) fn apply(&self, update: &Update) {
        let mut heard = self.lock();
        let heard = &mut *heard;
        let keys = heard.keys.get_or_insert_default();
        if update.is_reset() {
            keys.clear();
        }
        for (key, document) in update.of::<NodeKey>() {
            let Ok(node) = key.parse() else { continue };
            if document.is_some() {
                keys.insert(node);
                continue;
            }
            keys.remove(&node);
            if let Some(known) = heard.nodes.get_mut(&node) {
                known.seen = LONG_AGO;
                heard.until = LONG_AGO;
            }
        }
    }
}
