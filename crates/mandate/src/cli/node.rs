//! Nodes.

mod drain;

pub(super) use drain::seconds;

use api::{
    identity::{CreateJoinToken, JoinToken, RemoveNode},
    releases::{self, ListNodes, ReleaseState},
};
use clap::{Args, Subcommand};
use types::{Clock as _, SystemClock};

use crate::serve::is_reached_from_elsewhere;

use super::{
    Failure, Outcome,
    context::Context,
    names::{Ids, Names},
    output::{Limit, Table, counted, moment, word},
    status,
};

/// The machines: list them, let one join, empty one, remove one
#[derive(Debug, Args)]
pub(crate) struct Node {
    #[command(subcommand)]
    verb: NodeVerb,
}

#[derive(Debug, Subcommand)]
enum NodeVerb {
    /// List the nodes with what each has and runs
    List {
        /// Show also the end of each log
        #[arg(long)]
        logs: bool,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a node with what it has and runs
    Show {
        /// Which node: its name or id
        node: String,
        /// Show also the end of each log
        #[arg(long)]
        logs: bool,
    },
    /// Empty a node: it gets nothing new, and what can move runs elsewhere before it ends there
    Drain(drain::Drain),
    /// Make a token with which one machine may join
    Token,
    /// Take a machine's key from it; it can join again with a new token
    Remove {
        /// Which node: its name or id
        node: String,
        /// Also if instances are placed there; those whose data is there are closed then
        #[arg(long)]
        force: bool,
    },
}

impl Node {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            NodeVerb::List { logs, limit } => {
                let nodes = cx.list(limit.limit, |after, limit| ListNodes { after, limit }).await?;
                let empty = "No node yet; `mandate node token` says how a machine becomes one.";
                let replicas = nodes.items.iter().flat_map(|node| &node.replicas);
                let instances = replicas.filter_map(|replica| replica.instance).collect();
                let called = cx.names(Ids { instances, ..Ids::default() }).await;
                cx.show_list(&nodes, empty, |nodes| {
                    let shown = nodes.iter().map(|node| shown(node, &called, logs));
                    shown.collect::<Vec<_>>().join("\n\n")
                })
            }
            NodeVerb::Show { node, logs } => {
                let node = cx.node(&node).await?;
                let instances = node.replicas.iter().filter_map(|replica| replica.instance);
                let stays = node.drain.iter().flat_map(|drain| &drain.stays).copied();
                let instances = instances.chain(stays).collect();
                let called = cx.names(Ids { instances, ..Ids::default() }).await;
                cx.show(&node, |node| shown(node, &called, logs))
            }
            NodeVerb::Drain(drain) => drain.run(cx).await,
            NodeVerb::Remove { node, force } => {
                let releases::Node { node, name, .. } = cx.node(&node).await?;
                cx.show(&cx.ask(RemoveNode { node, force }).await?, |_| {
                    format!(
                        "`{name}` is no longer a node. Stop the agent there; before the machine \
                         joins again, remove `agent/node.key` and `agent/node.id` from its data \
                         folder."
                    )
                })
            }
            NodeVerb::Token => {
                cx.show(&cx.ask(CreateJoinToken {}).await?, |join| how_to_join(cx.url(), join))
            }
        }
    }
}

impl Context {
    /// The node of that name or id.
    pub(super) async fn node(&self, text: &str) -> Result<releases::Node, Failure> {
        let nodes = self.list(None, |after, limit| ListNodes { after, limit }).await?.items;
        let is_it =
            |node: &releases::Node| node.name.as_str() == text || node.node.to_string() == text;
        let mut found: Vec<releases::Node> = nodes.into_iter().filter(is_it).collect();
        match (found.pop(), found.len()) {
            (Some(node), 0) => Ok(node),
            (Some(_), _) => {
                let sentence = format!("more than one node is called `{text}`");
                Err(Failure::new(status::UNFIT, sentence)
                    .hint("name it by its id; `mandate node list` shows the ids"))
            }
            (None, _) => Err(Failure::new(status::NOT_FOUND, format!("there is no node `{text}`"))
                .hint("`mandate node list` shows the nodes")),
        }
    }
}

/// What to type on the machine. An address that leads each machine to itself is for this one only.
fn how_to_join(asked: &str, join: &JoinToken) -> String {
    let (token, until) = (join.token.reveal(), moment(join.expires));
    let reached = Some(asked).filter(|url| is_reached_from_elsewhere(url));
    match join.url.as_deref().or(reached) {
        Some(url) => format!(
            "On the machine, until {until}:\n  \
             mandate agent --join {url} --token {token} --listen-ip ADDRESS\n\n\
             ADDRESS is the machine's own, at which the platform reaches it."
        ),
        None => format!(
            "On the platform's own machine, until {until}:\n  \
             mandate agent --join {asked} --token {token}\n\n\
             Other machines cannot join: the platform does not know where they reach it. \
             `mandate up --listen ADDRESS:PORT` listens where they do, and `mandate up --advertise` \
             names what leads there."
        ),
    }
}

fn shown(node: &releases::Node, called: &Names, logs: bool) -> String {
    let alive = if node.alive { "alive" } else { "AWAY" };
    let mut text = format!("{}  {}  {alive}, seen {}", node.name, node.node, moment(node.seen));
    text = format!("{text}\n  {}", promised(node));
    if let Some(drain) = &node.drain {
        text = format!("{text}\n  {}", drain::sentence(drain, called));
    }
    let headings = ["  WHAT", "SERVICE", "RELEASE", "STATE", "WHERE", "FOR"];
    let mut table = Table::new(&headings);
    for release in &node.releases {
        let (service, digest) = (&release.service, release.digest.short());
        table.row([&"  release", service, &digest, &word(&release.state), &"", &""]);
    }
    for replica in &node.replicas {
        let (service, digest) = (&replica.service, replica.digest.short());
        let state = match replica.starts {
            0 | 1 => word(&replica.state),
            starts => format!("{}, started {starts} times", word(&replica.state)),
        };
        let whom =
            replica.instance.map_or_else(|| "all instances".to_owned(), |id| called.instance(id));
        let what = format!("  {}", process_of(replica));
        table.row([&what, service, &digest, &state, &replica.address, &whom]);
    }
    text = match (node.releases.len(), node.replicas.len()) {
        (0, 0) => format!("{text}\n  It has no release and runs nothing."),
        _ => format!("{text}\n{}", table.text()),
    };
    if let Some(isolation) = &node.isolation {
        text = format!("{text}\n  {}", isolation.in_words());
    }
    if let Some(address) = node.shares_at {
        text = format!("{text}\n  It shares packages with other nodes at {address}.");
    }
    for (heading, log) in told(node, logs) {
        let lines: Vec<String> = log.trim_end().lines().map(|line| format!("    {line}")).collect();
        text = format!("{text}\n  {heading}:\n{}", lines.join("\n"));
    }
    text
}

/// What a replica is: of the process that answers requests, or of another one.
fn process_of(replica: &releases::ReplicaReport) -> String {
    if replica.is_web() { "replica".to_owned() } else { replica.process.clone() }
}

/// What it is, and what instances are promised there.
fn promised(node: &releases::Node) -> String {
    let releases::Node { machine, promised, .. } = node;
    let labels = machine.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let labels = labels.collect::<Vec<_>>().join(", ");
    let labels = if labels.is_empty() { "no labels".to_owned() } else { labels };
    let of = |whole: Option<String>| whole.map_or_else(String::new, |whole| format!(" of {whole}"));
    let memory = of(machine.memory.map(|bytes| (bytes >> 20).to_string()));
    let processors =
        |thousandths: u64| format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
    let cpu = of(machine.cpu.map(|cpu| processors(cpu.into())));
    format!(
        "{labels}; {} promised: {}{memory} MiB of memory, {}{cpu} processors",
        counted(promised.instances),
        promised.memory >> 20,
        processors(promised.cpu),
    )
}

/// The logs to show: all that say something, or only those of what failed.
fn told<'a>(node: &'a releases::Node, all: bool) -> Vec<(String, &'a str)> {
    let releases = node.releases.iter().filter(|r| all || r.state == ReleaseState::Failed);
    let replicas = node.replicas.iter().filter(|r| all || r.state.has_failed());
    let of_release = |release: &'a releases::ReleaseReport| {
        let releases::ReleaseReport { service, digest, log, .. } = release;
        (format!("release {} of {service} printed", digest.short()), log.as_str())
    };
    let of_replica = |replica: &'a releases::ReplicaReport| {
        let (what, id, service) = (process_of(replica), replica.replica, &replica.service);
        let fate = replica.fate(SystemClock.now());
        let fate = fate.map(|fate| format!("({}, {fate}) ", word(&replica.state)));
        let heading = format!("{what} {id} of {service} {}printed", fate.unwrap_or_default());
        (heading, replica.log.as_str())
    };
    let logs = releases.map(of_release).chain(replicas.map(of_replica));
    logs.filter(|(_, log)| !log.trim().is_empty()).collect()
}
