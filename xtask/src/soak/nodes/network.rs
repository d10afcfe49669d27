//! Where machines are on the network: each in a namespace of its own where such can be made, which can
//! be unplugged; elsewhere each at another loopback address.

use std::{net::Ipv4Addr, path::Path, process::Command};

use anyhow::ensure;

use crate::{machine::is_root, process};

/// The ways between this machine and those in namespaces; gone when this is dropped.
pub(super) struct Network {
    /// What the names of all of them begin with; none are made if absent.
    prefix: Option<String>,
    subnet: u8,
}

/// A machine's place on the network.
#[derive(Clone)]
pub(super) struct Place {
    /// What its namespace is called, if it has one.
    namespace: Option<String>,
    /// Its address.
    pub(super) address: Ipv4Addr,
    /// The address at which it finds this machine.
    pub(super) platform: Ipv4Addr,
}

impl Network {
    /// Finds out which it is: namespaces need root and the program `ip`.
    pub(super) async fn new() -> Self {
        let pid = std::process::id();
        let subnet = u8::try_from(pid % 250).expect("it is less than 250");
        let mut network = Self { prefix: Some(format!("mn{pid}-")), subnet };
        let can = is_root() && Path::new("/usr/bin/nsenter").exists();
        if !can || network.make(0).await.is_err() {
            network.remove();
            network.prefix = None;
        }
        network
    }

    /// Whether machines have namespaces.
    pub(super) fn has_namespaces(&self) -> bool {
        self.prefix.is_some()
    }

    /// Where databases are to listen, so that all machines reach them.
    pub(super) fn platform(&self) -> Ipv4Addr {
        self.ends(0).0
    }

    /// The place of one machine; each number names one.
    pub(super) async fn place(&self, number: u8) -> anyhow::Result<Place> {
        let (platform, address) = self.ends(number);
        if number > 0 && self.prefix.is_some() {
            self.make(number).await?;
        }
        let namespace = self.prefix.as_ref().map(|prefix| format!("{prefix}{number}"));
        Ok(Place { namespace, address, platform })
    }

    fn ends(&self, number: u8) -> (Ipv4Addr, Ipv4Addr) {
        match self.prefix {
            Some(_) => {
                let end = |end| Ipv4Addr::new(10, 213, self.subnet, 4 * number + end);
                (end(1), end(2))
            }
            None => (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, number + 1)),
        }
    }

    async fn make(&self, number: u8) -> anyhow::Result<()> {
        let Some(prefix) = &self.prefix else { return Ok(()) };
        let ((here, there), space) = (self.ends(number), format!("{prefix}{number}"));
        for line in [
            format!("netns add {space}"),
            format!("link add {space}h type veth peer name eth0 netns {space}"),
            format!("address add {here}/30 dev {space}h"),
            format!("link set {space}h up"),
            format!("-n {space} address add {there}/30 dev eth0"),
            format!("-n {space} link set eth0 up"),
            format!("-n {space} link set lo up"),
            format!("-n {space} route add default via {here}"),
        ] {
            ip(&line).await?;
        }
        Ok(())
    }

    fn remove(&self) {
        for number in 0..u8::try_from(super::MACHINES.len()).unwrap_or_default() {
            let Some(prefix) = &self.prefix else { return };
            // Its end of the way goes with it.
            let mut command = Command::new("ip");
            let _ = command.args(["netns", "delete", &format!("{prefix}{number}")]).output();
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Place {
    /// A command that runs there.
    pub(super) fn command(&self, program: &Path) -> Command {
        let Some(space) = &self.namespace else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{space}")).arg(program);
        command
    }

    /// Whether it can be taken off the network.
    pub(super) fn has_plug(&self) -> bool {
        self.namespace.is_some()
    }

    /// Takes it off the network, or puts it there again. Its own end is taken down: were it this one,
    /// what is sent there would go another way.
    pub(super) async fn plug(&self, is_in: bool) -> anyhow::Result<()> {
        let Some(space) = &self.namespace else { return Ok(()) };
        if is_in {
            ip(&format!("-n {space} link set eth0 up")).await?;
            ip(&format!("-n {space} route add default via {}", self.platform)).await
        } else {
            ip(&format!("-n {space} link set eth0 down")).await
        }
    }
}

async fn ip(line: &str) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    command.args(line.split(' '));
    let done = process::output(command).await?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "`ip {line}` failed: {}", said.trim());
    Ok(())
}
