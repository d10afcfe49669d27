//! The agent, in the platform's process or on a machine of its own.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
use api::releases::Machine;
use types::{Name, Secret, SystemClock};

use super::{AgentArgs, arguments::PortRange, ended, ending, lock, log, private};

/// Runs a node until it is asked to end.
pub(crate) async fn agent(args: AgentArgs) -> anyhow::Result<()> {
    log();
    check_listening(&args).await?;
    let _lock = lock::take(&args.data, "agent")?;
    private::keep(&args.data)?;
    let ending = ending()?;
    if args.token.is_none() && !args.data.join("node.id").exists() {
        anyhow::bail!(
            "this machine has not joined yet: ask an operator for a token (`mandate node token`) and give it with `--token`"
        );
    }
    let node = Node {
        data: args.data,
        name: args.name,
        transport: Arc::new(api::Remote::new(&args.join)),
        join_token: Secret::new(args.token.unwrap_or_default()),
        platform_url: args.join,
        listen_ip: args.listen_ip,
        share_packages: args.share_packages,
        machine: args.machine.machine(),
        ports: args.replica_ports,
        ends_all: args.end_replicas,
        one_user: args.one_user,
        processes_max: args.instance_processes,
    };
    node.run(ended(ending)).await.context("the agent cannot go on")
}

/// A gateway on another machine that is told of a loopback address would lead to itself.
async fn check_listening(args: &AgentArgs) -> anyhow::Result<()> {
    let shared = args.share_packages.filter(|address| address.ip().is_loopback());
    if !(args.listen_ip.is_loopback() || shared.is_some()) || is_here(&args.join).await {
        return Ok(());
    }
    if let Some(address) = shared {
        anyhow::bail!(
            "the platform at {} is on another machine, and other nodes cannot reach this one at \
             {address}: say with `--share-packages` at which address of this machine they reach it",
            args.join
        );
    }
    anyhow::bail!(
        "the platform at {} is on another machine and cannot reach replicas at {}: say with \
         `--listen-ip` at which address of this machine it reaches them",
        args.join,
        args.listen_ip
    )
}

/// Whether an address leads to this machine; one that cannot be found out about may.
async fn is_here(url: &str) -> bool {
    let Some(host) = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned))
    else {
        return true;
    };
    let host = host.trim_matches(['[', ']']);
    let Ok(found) = tokio::net::lookup_host((host, 0)).await else { return true };
    let ours = found.map(|address| std::net::UdpSocket::bind((address.ip(), 0)).is_ok());
    ours.reduce(|one, another| one || another).unwrap_or(true)
}

/// What an agent is told.
pub(crate) struct Node {
    pub(crate) data: PathBuf,
    pub(crate) name: Option<Name>,
    pub(crate) transport: Arc<dyn api::Transport>,
    pub(crate) join_token: Secret,
    pub(crate) platform_url: String,
    pub(crate) listen_ip: IpAddr,
    pub(crate) share_packages: Option<SocketAddr>,
    pub(crate) machine: Machine,
    pub(crate) ports: PortRange,
    pub(crate) ends_all: bool,
    pub(crate) one_user: bool,
    pub(crate) processes_max: u32,
}

impl Node {
    /// Runs the agent until `shutdown`.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let config = agent::Config {
            data: self.data,
            name: self.name.unwrap_or_else(machine_name),
            transport: self.transport,
            join_token: self.join_token,
            platform_url: self.platform_url,
            listen_ip: self.listen_ip,
            share_packages: self.share_packages,
            ports: self.ports.0,
            machine: self.machine,
            // The program that runs, also when its file was replaced meanwhile.
            program: vec!["/proc/self/exe".into()],
            ends_all: self.ends_all,
            one_user: self.one_user,
            processes_max: self.processes_max,
            clock: Arc::new(SystemClock),
        };
        Ok(agent::run(config, shutdown).await?)
    }
}

/// The first label of the machine's host name, as far as that is a name.
fn machine_name() -> Name {
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let label = host.split('.').next().unwrap_or_default();
    let name = format!("n-{label}");
    let fallback = || "node".parse().expect("`node` is a name");
    label.parse().or_else(|_| name.parse()).unwrap_or_else(|_| fallback())
}
