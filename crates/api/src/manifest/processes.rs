//! What a service runs: `[run]`, and the tables `[processes.<name>]`.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Manifest, Run,
    faults::shown,
    reader::{NAMES, Node, Table},
};

/// The process that answers requests.
pub const WEB: &str = "web";
/// What `web` is asked unless its author says something else.
const HEALTH: &str = "/healthz";
/// With more of either a node is better used by more instances.
const REPLICAS_MAX: u32 = 8;
const PROCESSES_MAX: usize = 8;
/// The keys of a process; in `[run]` they are those of `web`.
const KEYS: [&str; 3] = ["command", "replicas", "health"];

/// A program of a service that runs as long as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How many of it run: for each instance, or on each node if one serves all instances.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: u32,
    /// What says that it is ready; if absent, that it has lasted for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Check>,
}

/// What a process is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Check {
    /// Whether this path answers 2xx, as a visitor of the instance would ask.
    Path(String),
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "`GET {path}`"),
        }
    }
}

impl Manifest {
    /// All processes of the service, `web` first.
    pub fn processes(&self) -> impl Iterator<Item = (&str, &Process)> {
        let others = self.processes.iter().map(|(name, process)| (name.as_str(), process));
        [(WEB, &self.run.web)].into_iter().chain(others)
    }

    /// The process of this name.
    pub fn process(&self, name: &str) -> Option<&Process> {
        if name == WEB { Some(&self.run.web) } else { self.processes.get(name) }
    }
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_one(count: &u32) -> bool {
    *count == 1
}

/// How it is run, and what runs beside `web`.
pub(super) fn run(root: &Table<'_>) -> Option<(Run, BTreeMap<String, Process>)> {
    let apart = root.table("processes");
    let mut processes = apart.as_ref().map(named).unwrap_or_default();
    let has_web = apart.is_some_and(|table| table.get(WEB).is_some());
    let run = if has_web { root.get("run") } else { root.need("run", "[run]") };
    let run = match run {
        Some(node) => Some(node.table()?),
        None => None,
    };
    let mut build = None;
    if let Some(table) = &run {
        table.only(&[&KEYS[..], &["build"]].concat());
        build = table.get("build").and_then(|node| node.command());
    }
    let web = match &run {
        Some(table) if !has_web => process(WEB, table),
        _ => {
            run.iter().for_each(say_it_once);
            processes.remove(WEB)
        }
    };
    Some((Run { web: web?, build }, processes))
}

/// The tables `[processes.<name>]` that could be read.
fn named(table: &Table<'_>) -> BTreeMap<String, Process> {
    let entries = table.named(&NAMES);
    if entries.len() > PROCESSES_MAX {
        let problem = format!("there are {} processes", entries.len());
        table.fault(problem, format!("write at most {PROCESSES_MAX}"));
    }
    let read = |(name, node): (String, Node<'_>)| {
        let table = node.table()?;
        table.only(&KEYS);
        Some((process(&name, &table)?, name))
    };
    entries.into_iter().filter_map(read).map(|(process, name)| (name, process)).collect()
}

/// What `[processes.web]` says does not stand in `[run]` too.
fn say_it_once(run: &Table<'_>) {
    for node in KEYS.iter().filter_map(|key| run.get(key)) {
        node.fault(
            "is said of `web` here and in `[processes.web]`",
            "write all of it in `[processes.web]`, or all of it here",
        );
    }
}

fn process(name: &str, table: &Table<'_>) -> Option<Process> {
    let command = table.need("command", "command = [\"./app\", \"…\"]").and_then(|n| n.command());
    let replicas = match table.get("replicas") {
        None => Some(1),
        Some(node) => node.number(1..=REPLICAS_MAX),
    };
    let health = match table.get("health") {
        None => Some((name == WEB).then(|| Check::Path(HEALTH.to_owned()))),
        Some(node) => check(&node, name).map(Some),
    };
    Some(Process { command: command?, replicas: replicas?, health: health? })
}

fn check(node: &Node<'_>, process: &str) -> Option<Check> {
    let check = Check::Path(path(node)?);
    if process != WEB {
        return node.fail(
            format!("`{process}` is given no port, so there is nobody to ask"),
            "remove it: only `web` listens",
        );
    }
    Some(check)
}

fn path(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if super::normalise(text).as_deref() == Some(text) {
        return Some(text.to_owned());
    }
    let text = shown(text);
    node.fail(format!("`{text}` is not a path"), "write a plain path such as `/healthz`")
}
