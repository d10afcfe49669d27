//! On which node an instance is placed. Pure.
//!
//! What is placed stays where it is, however many nodes come and go, until its node is emptied, is
//! silent for too long or is removed. What is new goes to a node that has the labels and the room,
//! and of those to the one with the fewest instances of the same account and service, and then with
//! the least promised. What has its data on its node never moves: it waits for the node.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use api::{
    labels::Labels,
    releases::{Machine, Promised},
};
use types::{AccountId, Digest, InstanceId, Name, NodeId};

use crate::number::number;

/// So many instances are on their way at once: both of their nodes run them for a while.
const MOVES_MAX: usize = 10;

/// How a node stands to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is heard of.
    Alive,
    /// It has not been heard of for a moment.
    Silent,
    /// It has not been heard of for so long that what can move does.
    Lost,
    /// It is no node any more.
    Removed,
}

/// A node as it is seen by whoever places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) node: NodeId,
    pub(crate) name: Name,
    pub(crate) machine: Machine,
    pub(crate) standing: Standing,
    /// It is being emptied.
    pub(crate) drains: bool,
    /// It is being emptied, and what it runs for all instances is healthy elsewhere.
    pub(crate) yields: bool,
}

impl Host {
    fn takes(&self) -> bool {
        self.standing == Standing::Alive && !self.drains
    }
}

/// What an instance needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) instance: InstanceId,
    pub(crate) account: AccountId,
    pub(crate) service: Name,
    /// The one that it is on.
    pub(crate) release: Digest,
    /// Its service's processes serve all instances, wherever they run.
    pub(crate) shared: bool,
    pub(crate) labels: Labels,
    /// In bytes.
    pub(crate) memory: u64,
    /// In thousandths of a processor.
    pub(crate) cpu: u32,
    /// What it has is on its node.
    pub(crate) bound: bool,
    /// It has a process that runs.
    pub(crate) runs: bool,
}

/// Where an instance is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    /// None if its service's processes serve all.
    pub(crate) node: Option<NodeId>,
    /// Where it ran before, until it is healthy.
    pub(crate) former: Option<NodeId>,
}

/// Where all instances are.
pub(crate) type Places = HashMap<InstanceId, Placed>;

/// What is known of processes.
pub(crate) trait Running {
    /// Whether the instance's process is healthy on that node.
    fn is_healthy(&self, need: &Need, node: NodeId) -> bool;
    /// Where its process was running before anybody wrote down where it is placed.
    fn found(&self, need: &Need) -> Option<NodeId>;
}

/// How far a node is emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Emptying {
    /// How many can still move away.
    pub(crate) left: u32,
    pub(crate) stays: Vec<InstanceId>,
    /// Why they do not.
    pub(crate) waits_for: Option<String>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    /// Where instances are from now on; `None` for those that are gone.
    pub(crate) changes: Vec<(InstanceId, Option<Placed>)>,
    /// What instances wait for that run nowhere, as in `it waits for …`.
    pub(crate) waits: HashMap<InstanceId, String>,
    pub(crate) promised: HashMap<NodeId, Promised>,
    pub(crate) emptying: HashMap<NodeId, Emptying>,
    /// How many are on their way.
    pub(crate) moving: usize,
}

/// Decides where everything is.
pub(crate) fn decide(
    needs: &[Need],
    places: &Places,
    hosts: &[Host],
    running: &impl Running,
) -> Decisions {
    let mut placing = Placing::new(needs, places, hosts);
    for need in needs {
        placing.look_at(need, places.get(&need.instance).copied(), running);
    }
    let mut decisions = placing.decisions;
    let there: BTreeSet<InstanceId> = needs.iter().map(|need| need.instance).collect();
    let gone = places.keys().filter(|instance| !there.contains(instance));
    decisions.changes.extend(gone.map(|instance| (*instance, None)));
    decisions.promised = placing.loads.iter().map(|(node, load)| (*node, load.promised)).collect();
    decisions
}

/// A node, and what is promised there.
struct Load<'d> {
    host: &'d Host,
    promised: Promised,
    of: HashMap<(AccountId, &'d Name), u32>,
}

impl<'d> Load<'d> {
    fn add(&mut self, need: &'d Need) {
        self.promised.instances += 1;
        self.promised.memory = self.promised.memory.saturating_add(need.memory);
        self.promised.cpu += u64::from(need.cpu);
        *self.of.entry((need.account, &need.service)).or_default() += 1;
    }

    fn remove(&mut self, need: &'d Need) {
        self.promised.instances = self.promised.instances.saturating_sub(1);
        self.promised.memory = self.promised.memory.saturating_sub(need.memory);
        self.promised.cpu = self.promised.cpu.saturating_sub(need.cpu.into());
        let of = self.of.entry((need.account, &need.service)).or_default();
        *of = of.saturating_sub(1);
    }

    fn has_room_for(&self, need: &Need) -> bool {
        let Machine { memory, cpu, .. } = &self.host.machine;
        let memory_after = self.promised.memory.saturating_add(need.memory);
        memory.is_none_or(|memory| memory_after <= memory)
            && cpu.is_none_or(|cpu| self.promised.cpu + u64::from(need.cpu) <= cpu.into())
    }

    /// The lower, the better for the need.
    fn rank(&self, need: &Need) -> (u32, u64, u32, Reverse<u64>, NodeId) {
        let same = self.of.get(&(need.account, &need.service)).copied().unwrap_or(0);
        let whole = self.host.machine.memory.unwrap_or(u64::MAX).max(1);
        let thousandths = u128::from(self.promised.memory) * 1_000 / u128::from(whole);
        let node = self.host.node;
        // Whoever is equal in all else is not always the same one.
        let chance = number(&[&node.to_string(), &need.instance.to_string()]);
        let thousandths = u64::try_from(thousandths).unwrap_or(u64::MAX);
        (same, thousandths, self.promised.instances, Reverse(chance), node)
    }
}

struct Placing<'d> {
    loads: BTreeMap<NodeId, Load<'d>>,
    decisions: Decisions,
}

impl<'d> Placing<'d> {
    fn new(needs: &'d [Need], places: &Places, hosts: &'d [Host]) -> Self {
        let load = |host: &'d Host| {
            let promised = Promised::default();
            (host.node, Load { host, promised, of: HashMap::new() })
        };
        let mut loads: BTreeMap<NodeId, Load<'d>> = hosts.iter().map(load).collect();
        let mut moving = 0;
        for need in needs {
            let Some(there) = places.get(&need.instance) else { continue };
            moving += usize::from(there.former.is_some());
            for node in [there.node, there.former].into_iter().flatten() {
                if let Some(load) = loads.get_mut(&node) {
                    load.add(need);
                }
            }
        }
        Self { loads, decisions: Decisions { moving, ..Decisions::default() } }
    }

    fn look_at(&mut self, need: &'d Need, placed: Option<Placed>, running: &impl Running) {
        let next = match placed {
            _ if need.shared => {
                if let Err(what) = self.takers(need) {
                    self.decisions.waits.insert(need.instance, what);
                }
                Some(Placed::default())
            }
            Some(Placed { node: Some(node), former }) => {
                let former = former.filter(|former| self.still_runs(need, node, *former, running));
                self.count_leaving(former);
                Some(self.stay_or_move(need, node, former))
            }
            _ => self.place(need, running),
        };
        let Some(next) = next.filter(|next| Some(*next) != placed) else { return };
        self.count(need, placed.unwrap_or_default(), next);
        self.decisions.changes.push((need.instance, Some(next)));
    }

    fn count(&mut self, need: &'d Need, before: Placed, after: Placed) {
        for node in [before.node, before.former].into_iter().flatten() {
            if let Some(load) = self.loads.get_mut(&node) {
                load.remove(need);
            }
        }
        for node in [after.node, after.former].into_iter().flatten() {
            if let Some(load) = self.loads.get_mut(&node) {
                load.add(need);
            }
        }
        let moving = self.decisions.moving + usize::from(after.former.is_some());
        self.decisions.moving = moving.saturating_sub(usize::from(before.former.is_some()));
    }

    fn standing(&self, node: NodeId) -> Standing {
        self.loads.get(&node).map_or(Standing::Removed, |load| load.host.standing)
    }

    /// Whether an instance is needed where it was before.
    fn still_runs(
        &self,
        need: &Need,
        node: NodeId,
        former: NodeId,
        running: &impl Running,
    ) -> bool {
        self.standing(former) == Standing::Alive && need.runs && !running.is_healthy(need, node)
    }

    /// What waits for a node is still there, also if that is to be emptied.
    fn count_waiting(&mut self, need: &Need, node: NodeId) {
        if !self.loads.get(&node).is_some_and(|load| load.host.drains) {
            return;
        }
        let emptying = self.decisions.emptying.entry(node).or_default();
        if need.bound {
            emptying.stays.push(need.instance);
        } else {
            emptying.left += 1;
            emptying.waits_for.get_or_insert_with(|| "the node, which is silent".to_owned());
        }
    }

    /// What is on its way is still there.
    fn count_leaving(&mut self, former: Option<NodeId>) {
        let drains = |node: &NodeId| self.loads.get(node).is_some_and(|load| load.host.drains);
        if let Some(former) = former.filter(drains) {
            self.decisions.emptying.entry(former).or_default().left += 1;
        }
    }

    fn place(&mut self, need: &Need, running: &impl Running) -> Option<Placed> {
        let found = running.found(need).filter(|node| self.standing(*node) != Standing::Removed);
        match found.map_or_else(|| self.choose(need), Ok) {
            Ok(node) => Some(Placed { node: Some(node), former: None }),
            Err(what) => {
                self.decisions.waits.insert(need.instance, what);
                None
            }
        }
    }

    fn stay_or_move(&mut self, need: &Need, node: NodeId, former: Option<NodeId>) -> Placed {
        let stays = Placed { node: Some(node), former };
        let drains = self.loads.get(&node).is_some_and(|load| load.host.drains);
        match self.standing(node) {
            Standing::Alive if drains => self.leave(need, node, former).unwrap_or(stays),
            Standing::Alive => stays,
            Standing::Silent => {
                self.count_waiting(need, node);
                let rest = if need.bound { ": its data is there" } else { "" };
                let what = format!("node {}, which is silent{rest}", self.name(node));
                self.decisions.waits.insert(need.instance, what);
                stays
            }
            standing if need.bound => {
                self.count_waiting(need, node);
                let how = if standing == Standing::Lost { "is silent" } else { "was removed" };
                let what = format!("node {}, which {how}: its data is there", self.name(node));
                self.decisions.waits.insert(need.instance, what);
                stays
            }
            _ => match self.choose(need) {
                Ok(other) => {
                    let former = former.filter(|former| *former != other);
                    Placed { node: Some(other), former }
                }
                Err(what) => {
                    self.decisions.waits.insert(need.instance, what);
                    stays
                }
            },
        }
    }

    fn name(&self, node: NodeId) -> String {
        let load = self.loads.get(&node);
        load.map_or_else(|| format!("`{node}`"), |load| format!("`{}`", load.host.name))
    }

    /// Where an instance goes from a node that is emptied, if it can now. There it runs until it
    /// is healthy elsewhere.
    fn leave(&mut self, need: &Need, node: NodeId, former: Option<NodeId>) -> Option<Placed> {
        let is_free = self.decisions.moving < MOVES_MAX || !need.runs;
        let choice = if need.bound { None } else { Some(self.choose(need)) };
        let emptying = self.decisions.emptying.entry(node).or_default();
        match choice {
            None => emptying.stays.push(need.instance),
            Some(Ok(other)) if is_free && former.is_none() => {
                emptying.left += u32::from(need.runs);
                return Some(Placed { node: Some(other), former: need.runs.then_some(node) });
            }
            Some(Ok(_)) => emptying.left += 1,
            Some(Err(what)) => {
                emptying.left += 1;
                emptying.waits_for.get_or_insert(what);
            }
        }
        None
    }

    /// The nodes that may have it, if they have room, or what is missing.
    fn takers(&self, need: &Need) -> Result<Vec<&Load<'_>>, String> {
        let takers: Vec<&Load<'_>> = self.loads.values().filter(|load| load.host.takes()).collect();
        if takers.is_empty() {
            return Err("a machine to run it".to_owned());
        }
        let labelled: Vec<&Load<'_>> =
            takers.into_iter().filter(|load| load.host.machine.has(&need.labels)).collect();
        if labelled.is_empty() {
            let labels = need.labels.iter().map(|(name, value)| format!("`{name}={value}`"));
            return Err(format!("a node with {}", labels.collect::<Vec<_>>().join(", ")));
        }
        Ok(labelled)
    }

    /// The best node for it, or what is missing.
    fn choose(&self, need: &Need) -> Result<NodeId, String> {
        let roomy = self.takers(need)?.into_iter().filter(|load| load.has_room_for(need));
        let best = roomy.min_by_key(|load| load.rank(need));
        best.map(|load| load.host.node).ok_or_else(|| {
            let (memory, cpu) = (need.memory >> 20, f64::from(need.cpu) / 1_000.0);
            format!(
                "room: no node has {memory} MiB of memory and {cpu} of a processor left to promise"
            )
        })
    }
}

#[cfg(test)]
mod tests;
