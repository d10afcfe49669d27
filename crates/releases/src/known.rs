//! The nodes as they were heard of last, in memory: a heartbeat that says nothing new asks no
//! database, and costs nothing that grows with what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{
    identity::NodeKey,
    releases::{Desired, DesiredReplica, Isolation, Node, ReleaseReport, ReplicaReport},
};
use chassis::Update;
use types::{Cursor, Name, NodeId, ReplicaId, Timestamp};

use crate::planning::Current;

/// A node that was not heard of for longer is gone.
pub(crate) const ALIVE: Duration = Duration::from_secs(15);
/// When a node was heard of is written down as rarely.
const WRITTEN_AGAIN: Duration = Duration::from_secs(5);
const LONG_AGO: Timestamp = Timestamp::from_micros(i64::MIN);
const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// What a node said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) name: Name,
    pub(crate) releases: Vec<ReleaseReport>,
    pub(crate) replicas: Vec<ReplicaReport>,
    pub(crate) isolation: Option<Isolation>,
}

impl Report {
    pub(crate) fn nothing(name: Name) -> Self {
        Self { name, releases: Vec::new(), replicas: Vec::new(), isolation: None }
    }
}

/// What a node's reports have come to. Held by whoever takes one, so that they are taken in turn.
#[derive(Default)]
pub(crate) struct Talk {
    /// The report that was taken last, and the share that it was held against.
    pub(crate) taken: Option<(Arc<Report>, Arc<[DesiredReplica]>)>,
    /// The number of that report.
    pub(crate) number: u64,
    /// The addresses that the gateways were told of; if absent, they stand in the database.
    pub(crate) told: Option<BTreeMap<ReplicaId, String>>,
    /// What the node is told, of that share and these releases.
    pub(crate) answer: Option<(Arc<[DesiredReplica]>, Current, Arc<Desired>)>,
}

/// A node's [`Talk`].
pub(crate) type Talking = Arc<tokio::sync::Mutex<Talk>>;

/// All nodes.
#[derive(Default)]
pub(crate) struct Nodes(Mutex<Heard>);

struct Heard {
    nodes: BTreeMap<NodeId, Known>,
    /// Who has a key; `None` before the first snapshot.
    keys: Option<BTreeSet<NodeId>>,
    /// Who lives, as long as it is not `until`.
    alive: Arc<[NodeId]>,
    until: Timestamp,
}

struct Known {
    report: Arc<Report>,
    seen: Timestamp,
    written: Timestamp,
    talking: Talking,
}

impl Default for Heard {
    fn default() -> Self {
        Self { nodes: BTreeMap::new(), keys: None, alive: [].into(), until: LONG_AGO }
    }
}

impl Known {
    fn new(name: Name, seen: Timestamp, written: Timestamp) -> Self {
        let report = Arc::new(Report::nothing(name));
        Self { report, seen, written, talking: Talking::default() }
    }

    /// Nothing is expected of it any more.
    fn is_removed(&self) -> bool {
        self.seen == LONG_AGO
    }

    fn lives(&self, now: Timestamp) -> bool {
        now.since(self.seen) < ALIVE
    }

    fn shown(&self, node: NodeId, now: Timestamp) -> Node {
        let Report { name, releases, replicas, isolation } = Report::clone(&self.report);
        let alive = self.lives(now);
        Node { node, name, seen: self.seen, alive, releases, replicas, isolation }
    }
}

impl Nodes {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is written down.
    pub(crate) fn remember(&self, nodes: Vec<(NodeId, Name, Timestamp)>) {
        let known = |(node, name, seen)| (node, Known::new(name, seen, seen));
        self.lock().nodes.extend(nodes.into_iter().map(known));
    }

    /// The node has been heard of.
    pub(crate) fn heard(&self, node: NodeId, name: &Name, now: Timestamp) -> Talking {
        let mut heard = self.lock();
        let anew = heard.alive.binary_search(&node).is_err();
        heard.until = if anew { LONG_AGO } else { heard.until.min(now.plus(ALIVE)) };
        let known = heard.nodes.entry(node);
        let known = known.or_insert_with(|| Known::new(name.clone(), now, LONG_AGO));
        known.seen = now;
        Arc::clone(&known.talking)
    }

    /// The node's report was taken; `written` says when the node was heard of if that was written.
    pub(crate) fn reported(&self, node: NodeId, report: &Arc<Report>, written: Option<Timestamp>) {
        if let Some(known) = self.lock().nodes.get_mut(&node) {
            known.report = Arc::clone(report);
            known.written = written.unwrap_or(known.written);
        }
    }

    /// Who lives: the same list for as long as they are the same.
    pub(crate) fn alive(&self, now: Timestamp) -> Arc<[NodeId]> {
        let mut heard = self.lock();
        if now >= heard.until {
            let alive = heard.nodes.iter().filter(|(_, known)| known.lives(now));
            let first = alive.clone().map(|(_, known)| known.seen.plus(ALIVE)).min();
            let alive: Vec<NodeId> = alive.map(|(node, _)| *node).collect();
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

    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.lock().nodes.contains_key(&node)
    }

    /// Whose being heard of is to be written down.
    pub(crate) fn unwritten(&self) -> Vec<(NodeId, Name, Timestamp)> {
        let heard = self.lock();
        let late = heard.nodes.iter().filter(|(_, known)| {
            !known.is_removed() && known.seen.since(known.written) >= WRITTEN_AGAIN
        });
        late.map(|(node, known)| (*node, known.report.name.clone(), known.seen)).collect()
    }

    pub(crate) fn written(&self, nodes: &[(NodeId, Name, Timestamp)]) {
        let mut heard = self.lock();
        for (node, _, seen) in nodes {
            if let Some(known) = heard.nodes.get_mut(node) {
                known.written = *seen;
            }
        }
    }

    /// Who does not live, and whether they are nodes at all any more.
    pub(crate) fn silent(&self, now: Timestamp) -> Vec<(NodeId, Talking, bool)> {
        let heard = self.lock();
        let silent = heard.nodes.iter().filter(|(_, known)| !known.lives(now));
        let is_node = |node| heard.keys.as_ref().is_none_or(|keys| keys.contains(node));
        silent.map(|(node, known)| (*node, Arc::clone(&known.talking), is_node(node))).collect()
    }

    pub(crate) fn is_silent(&self, node: NodeId, now: Timestamp) -> bool {
        self.lock().nodes.get(&node).is_some_and(|known| !known.lives(now))
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
