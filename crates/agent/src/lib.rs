//! Makes one node run what `releases` says it should.
//!
//! An agent tells the platform what its node has and runs, hears what it should, and closes the
//! gap: `observe` (what [`host`] sees), `plan` (pure: two states in, steps out), `act` (begins
//! steps, never waits) and `keep` (each release and each replica has a task of its own that tries
//! again with growing pauses). Beside that it takes jobs and runs their commands.
//!
//! What stands on the node is named by content and made whole or not at all, so a crash at any
//! point is mended by starting again. Replicas and jobs are held by small processes of their own
//! ([`hold()`]), which outlive the agent: the next one finds them and goes on. While the platform
//! is away, what runs keeps running.
//!
//! The agent believes the platform about what to run, and nobody about what it is: a package must
//! have the digest and the publisher's signature, and a command must stand in the manifest inside.
//! Where it is root each instance has a user of its own ([`users`]), so that nobody reads, signals or
//! fills what is another's; elsewhere all run as the agent's own user. A size is enforced by cgroups
//! where their controllers are there; elsewhere the memory by ending a replica that uses more, and
//! the processor time by priority alone.

mod environment;
mod error;
mod files;
mod folder;
mod hold;
mod host;
mod jobs;
mod join;
mod logs;
mod machine;
mod node;
mod pause;
mod plan;
mod processes;
mod releases;
mod replicas;
mod tokens;
mod users;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use api::{Client, releases::Machine};
use tokio::sync::watch;
use types::{Clock, Name, NodeId, Secret};

pub use error::Error;

use folder::Folder;
use hold::Surveys;
use host::Changes;
use jobs::Worker;
use pause::Pace;
use processes::Processes;
use releases::Sharing;
use replicas::Ports;
use tokens::Tokens;
use users::Users;

/// Does what one of the small processes does that an agent begins, if that is what the words ask for:
/// holds a command, or serves files. A program that runs an agent asks this before it does anything
/// else, and ends with the status that it is given; `None` means to go on.
pub fn hold(words: impl IntoIterator<Item = OsString>) -> Option<u8> {
    let mut words = words.into_iter().skip(1);
    let first = words.next()?;
    let rest: Vec<OsString> = words.collect();
    match first.to_str()? {
        files::WORD => Some(files::main(&rest)),
        word => hold::hold(word, rest),
    }
}

/// What an agent must be told.
pub struct Config {
    /// Its own folder; made if it is not there.
    pub data: PathBuf,
    /// What the machine is called.
    pub name: Name,
    /// The way to the platform.
    pub transport: Arc<dyn api::Transport>,
    /// What an operator gave it; looked at only until it has joined.
    pub join_token: Secret,
    /// Where replicas of services with shared processes ask whose host it is, such as
    /// `http://127.0.0.1:8080`.
    pub platform_url: String,
    /// Where replicas listen.
    pub listen_ip: IpAddr,
    /// The ports at which they may listen; at best none that the kernel gives to others.
    pub ports: RangeInclusive<u16>,
    /// Where it gives packages to other nodes, which it then also fetches from; if absent, they
    /// come from the platform.
    pub share_packages: Option<SocketAddr>,
    /// What distinguishes the machine, and how much of it instances may be promised: its memory is
    /// measured if that is not said.
    pub machine: Machine,
    /// The words by which this program is called so that it asks [`hold()`] first.
    pub program: Vec<OsString>,
    /// Whether what runs ends with the agent, and is not left for the next one.
    pub ends_all: bool,
    /// Whether everything runs as the agent's own user, also where each instance could have one.
    pub one_user: bool,
    /// How many processes and threads may run for one instance, where it has a user of its own or a
    /// cgroup that counts them.
    pub processes_max: u32,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("data", &self.data)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What everything on a node needs to know.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) name: Name,
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) folder: Folder,
    pub(crate) platform_url: String,
    pub(crate) machine: Machine,
    pub(crate) program: Vec<OsString>,
    pub(crate) ends_all: bool,
    pub(crate) ports: Ports,
    /// That packages are shared with other nodes, if they are.
    pub(crate) sharing: Option<Sharing>,
    pub(crate) processes_max: u32,
    pub(crate) users: Users,
    pub(crate) tokens: Tokens,
    pub(crate) surveys: Surveys,
    pub(crate) pace: Pace,
    pub(crate) changes: Changes,
    /// Whether the platform says that this is no node any more: it is then left alone for the most.
    pub(crate) removed: AtomicBool,
}

/// Makes this machine a node if it is none yet, then keeps it as the platform wants it until
/// `shutdown`. What it started is stopped then if that was said, and else left for the next agent.
///
/// # Errors
///
/// The folder cannot be used or another agent works in it, or the platform refuses the join token.
/// A platform that does not answer is waited for.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    run_at(config, shutdown, Pace::default()).await
}

async fn run_at(
    config: Config,
    shutdown: impl Future<Output = ()>,
    pace: Pace,
) -> Result<(), Error> {
    tokio::pin!(shutdown);
    let folder = Folder::open(&config.data)?;
    let users = users(&folder, config.one_user).map_err(Error::folder(folder.root()))?;
    let signer = tokio::select! {
        signer = join::join(&config, &folder, pace) => signer?,
        () = &mut shutdown => return Ok(()),
    };
    let ports = Ports::open(config.listen_ip, config.ports, folder.ports(), pace.rest)
        .map_err(Error::folder(folder.ports()))?;
    let node = Arc::new(Node {
        id: signer.node(),
        name: config.name,
        client: Client::new(config.transport, Arc::new(signer)),
        clock: config.clock,
        folder,
        platform_url: config.platform_url,
        machine: machine::measured(config.machine),
        program: config.program,
        ends_all: config.ends_all,
        ports,
        sharing: config.share_packages.map(Sharing::new),
        processes_max: config.processes_max,
        users,
        tokens: Tokens::default(),
        surveys: Surveys::default(),
        pace,
        changes: Changes::default(),
        removed: AtomicBool::default(),
    });
    let host = Processes::open(Arc::clone(&node)).await?;
    let releases = host.releases();
    let worker = Worker::new(Arc::clone(&node), releases.clone());
    let (stop, stopping) = watch::channel(false);
    let until_then = async {
        shutdown.await;
        stop.send_replace(true);
    };
    let working = async {
        tokio::join!(until_then, node::keep(&node, host, stopping.clone()), worker.work(stopping));
    };
    tokio::select! {
        () = working => {}
        () = node.tokens.keep(&node) => {}
        () = releases::serve(&node, &releases) => {}
    }
    Ok(())
}

/// The users that what runs here runs as. That there are none is said once.
fn users(folder: &Folder, one_user: bool) -> io::Result<Users> {
    let users = Users::open(folder.root(), one_user)?;
    match users.missing() {
        None => folder.let_pass()?,
        Some(why) => tracing::warn!(
            "what runs here runs as the agent's own user, and can read what is another's: {why}"
        ),
    }
    Ok(users)
}

/// Waits until `stopping` says so.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Whoever could have said so being gone says it too.
    let _ = stopping.wait_for(|stop| *stop).await;
}
