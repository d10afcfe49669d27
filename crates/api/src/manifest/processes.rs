//! What a service runs: `[run]`, and the tables `[processes.<name>]`.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, sync::LazyLock, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Manifest, Run, Tenancy,
    faults::shown,
    jobs::duration,
    reader::{NAMES, Node, Table},
    volumes,
};

/// The process that answers requests.
pub const WEB: &str = "web";
/// The platform's own process that answers requests for files, beside `web`.
pub const FILES: &str = "files";
/// What `web` is asked unless its author says something else.
const HEALTH: &str = "/healthz";
/// With more of either a node is better used by more instances.
const REPLICAS_MAX: u32 = 8;
const PROCESSES_MAX: usize = 8;
const HOST_BYTES_MAX: usize = 260;
/// The keys of a process; in `[run]` they are those of `web`.
const KEYS: [&str; 7] = ["command", "protocol", "replicas", "health", "live", "pre_start", "drain"];
/// For how long what is under way may go on at a replica that another has taken over from.
const DRAINS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);

/// A program of a service that runs as long as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it speaks with whoever asks it; only of `web`.
    #[serde(default, skip_serializing_if = "Protocol::is_http1")]
    pub protocol: Protocol,
    /// How many of it run: for each instance, or on each node if one serves all instances.
    #[serde(default = "super::one", skip_serializing_if = "super::is_one")]
    pub replicas: u32,
    /// What says that it is ready; if absent, that it has lasted for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Check>,
    /// What says that it is alive, whether or not it is ready; if absent, `health` says both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Check>,
    /// Run before each of its starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_start: Option<Vec<String>>,
    /// For how long, in seconds, it goes on for those who are connected once another has taken over
    /// from it; only of `web`.
    #[serde(default = "usual_drain", skip_serializing_if = "is_usual_drain")]
    pub drain_seconds: u32,
}

const fn usual_drain() -> u32 {
    30
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_usual_drain(seconds: &u32) -> bool {
    *seconds == usual_drain()
}

/// What a process speaks with whoever asks it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 from the first byte on, without TLS (RFC 9113, 3.3).
    H2c,
}

impl Protocol {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    fn is_http1(&self) -> bool {
        *self == Self::Http1
    }
}

/// What a process is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Check {
    /// Whether this path answers 2xx, as a visitor of the instance would ask.
    Path(String),
    /// Whether this path answers 2xx to whoever asks for this host.
    Request {
        /// The path.
        http: String,
        /// The host.
        host: String,
    },
    /// Whether it takes a connection.
    Connection {
        /// Always true.
        tcp: bool,
    },
    /// Whether this command, run where the process runs, ends with status 0.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) | Self::Request { http: path, .. } => write!(f, "`GET {path}`"),
            Self::Connection { .. } => f.write_str("a connection"),
            Self::Command { command } => {
                write!(f, "`{}`", command.first().map_or("", String::as_str))
            }
        }
    }
}

/// What serves files; which program that is the node knows.
static FILES_PROCESS: LazyLock<Process> = LazyLock::new(|| Process {
    command: Vec::new(),
    protocol: Protocol::Http1,
    replicas: 1,
    health: Some(Check::Connection { tcp: true }),
    live: None,
    pre_start: None,
    drain_seconds: usual_drain(),
});

impl Manifest {
    /// All processes of the service, `web` first; the platform's own is the last one.
    pub fn processes(&self) -> impl Iterator<Item = (&str, &Process)> {
        let others = self.processes.iter().map(|(name, process)| (name.as_str(), process));
        let files = (!self.files.is_empty()).then(|| (FILES, &*FILES_PROCESS));
        [(WEB, &self.run.web)].into_iter().chain(others).chain(files)
    }

    /// The process of this name.
    pub fn process(&self, name: &str) -> Option<&Process> {
        self.processes().find(|(known, _)| *known == name).map(|(_, process)| process)
    }

    /// Which process answers a request for this path, which must come from [`super::normalise`].
    pub fn answers(&self, path: &str) -> &'static str {
        let is_in = |prefix: &str| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.files.keys().any(|prefix| is_in(prefix)) { FILES } else { WEB }
    }
}

/// How it is run, and what runs beside `web`.
pub(super) fn run(
    root: &Table<'_>,
    tenancy: Option<Tenancy>,
) -> Option<(Run, BTreeMap<String, Process>)> {
    let apart = root.table("processes");
    let mut processes = apart.as_ref().map(named).unwrap_or_default();
    let has_web = apart.is_some_and(|table| table.get(WEB).is_some());
    let run = if has_web { root.get("run") } else { root.need("run", "[run]") };
    let run = match run {
        Some(node) => Some(node.table()?),
        None => None,
    };
    let (mut build, mut check, mut volumes, mut commands) = (None, None, Vec::new(), Vec::new());
    if let Some(table) = &run {
        table.only(&[&KEYS[..], &["build", "check", "volumes", "commands"]].concat());
        build = table.get("build").and_then(|node| node.command());
        check = table.get("check").and_then(|node| node.command());
        volumes = volumes::volumes(table, tenancy);
        commands = programs(table);
    }
    let web = match &run {
        Some(table) if !has_web => process(WEB, table),
        _ => {
            run.iter().for_each(say_it_once);
            processes.remove(WEB)
        }
    };
    Some((Run { web: web?, build, check, volumes, commands }, processes))
}

/// The programs that may be run once.
fn programs(table: &Table<'_>) -> Vec<String> {
    let mend = "write a list of programs such as `[\"./manage.py\"]`";
    let mut programs: Vec<String> = Vec::new();
    for node in table.get("commands").and_then(|node| node.list(mend)).unwrap_or_default() {
        match node.words() {
            Some(program) if programs.contains(&program) => {
                node.fault(format!("`{}` is named twice", shown(&program)), "remove one");
            }
            Some(program) => programs.push(program),
            None => {}
        }
    }
    programs
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
        if name == FILES {
            let mend = "choose another name";
            node.fault("`files` is the platform's own process, which `[static]` begins", mend);
        }
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
    let protocol = protocol(name, table);
    let speaks = (name, protocol.unwrap_or_default());
    let health = match table.get("health") {
        None => Some((name == WEB).then(|| usual_check(speaks.1))),
        Some(node) => check(&node, speaks).map(Some),
    };
    let live = match table.get("live") {
        None => Some(None),
        Some(node) => check(&node, speaks).map(Some),
    };
    let pre_start = table.get("pre_start").and_then(|node| node.command());
    if let Some(node) = table.get("drain").filter(|_| name != WEB) {
        node.fault(format!("nobody is connected to `{name}`"), "remove it");
    }
    let drain_seconds = duration(table, "drain", DRAINS, usual_drain());
    let (command, protocol, drain_seconds) = (command?, protocol?, drain_seconds?);
    let (replicas, health, live) = (replicas?, health?, live?);
    Some(Process { command, protocol, replicas, health, live, pre_start, drain_seconds })
}

fn protocol(name: &str, table: &Table<'_>) -> Option<Protocol> {
    let Some(node) = table.get("protocol") else { return Some(Protocol::default()) };
    if name != WEB {
        return node
            .fail(format!("`{name}` is given no port, so nobody can ask there"), "remove it");
    }
    node.one_of(&[("http1", Protocol::Http1), ("h2c", Protocol::H2c)])
}

fn usual_check(protocol: Protocol) -> Check {
    match protocol {
        Protocol::Http1 => Check::Path(HEALTH.to_owned()),
        Protocol::H2c => Check::Connection { tcp: true },
    }
}

fn check(node: &Node<'_>, (process, protocol): (&str, Protocol)) -> Option<Check> {
    let check = if node.is_text() { Check::Path(path(node)?) } else { written(&node.table()?)? };
    if process != WEB && !matches!(check, Check::Command { .. }) {
        return node.fail(
            format!("`{process}` is given no port, so nobody can ask there"),
            "write `{ command = [\"./app\", \"check\"] }`",
        );
    }
    let is_request = matches!(check, Check::Path(_) | Check::Request { .. });
    if is_request && protocol == Protocol::H2c {
        return node.fail(
            "asks by HTTP/1.1, which the process does not speak",
            "write `{ tcp = true }` or `{ command = [\"./app\", \"check\"] }`",
        );
    }
    Some(check)
}

/// A check that says of which kind it is.
fn written(table: &Table<'_>) -> Option<Check> {
    table.only(&["http", "host", "tcp", "command"]);
    let [http, host, tcp, command] = ["http", "host", "tcp", "command"].map(|key| table.get(key));
    if let (Some(host), None) = (&host, &http) {
        host.fault("only a request is for a host", "remove it, or write `http = \"/healthz\"`");
    }
    match (http, tcp, command) {
        (Some(http), None, None) => {
            let http = path(&http)?;
            let host = host.map(|node| host_of(&node));
            Some(match host {
                Some(host) => Check::Request { http, host: host? },
                None => Check::Path(http),
            })
        }
        (None, Some(tcp), None) if tcp.truth()? => Some(Check::Connection { tcp: true }),
        (None, Some(tcp), None) => tcp.fail("asks nothing", "write `tcp = true`"),
        (None, None, Some(command)) => Some(Check::Command { command: command.command()? }),
        _ => {
            let mend =
                "write one of `http = \"/healthz\"`, `tcp = true` and `command = [\"./check\"]`";
            table.fault("does not say in one way what is asked", mend);
            None
        }
    }
}

fn host_of(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if !text.is_empty() && text.len() <= HOST_BYTES_MAX && text.bytes().all(plain) {
        return Some(text.to_owned());
    }
    let text = shown(text);
    node.fail(format!("`{text}` is not a host"), "write one such as `localhost`")
}

fn path(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if super::normalise(text).as_deref() == Some(text) {
        return Some(text.to_owned());
    }
    let text = shown(text);
    node.fail(format!("`{text}` is not a path"), "write a plain path such as `/healthz`")
}
