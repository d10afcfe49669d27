//! Three machines on one: each has an address, a folder, a program and a way to the platform of its
//! own.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Signal, kill_process};
use tokio::time::sleep;

use super::{disk::Disk, network::Place, relay::Relay};
use crate::{
    demo::person::PROGRAM,
    process::{Group, processes_of},
};

/// How long an agent may take to end.
const STOP_LONGEST: Duration = Duration::from_secs(40);

/// A machine, as far as one can be three.
pub(super) struct Machine {
    pub(super) name: &'static str,
    pub(super) place: Place,
    data: PathBuf,
    /// Its own copy, which is replaced as a package would.
    program: PathBuf,
    pub(super) way: Relay,
    agent: Option<Group>,
    upgrades: u32,
    // After its agent, since fields are dropped in this order.
    pub(super) disk: Disk,
}

impl Machine {
    /// A machine with an agent that joins.
    pub(super) async fn joins(
        folder: &Path,
        (name, place): (&'static str, Place),
        port: u16,
        token: &str,
    ) -> anyhow::Result<Self> {
        let (data, program) = (folder.join(name), folder.join(format!("{name}.mandate")));
        fs::copy(PROGRAM, &program)?;
        let way = Relay::from(place.platform, port).await?;
        let disk = Disk::at(&data).await?;
        let mut machine = Self { name, place, data, program, way, agent: None, upgrades: 0, disk };
        machine.run(&["--token", token])?;
        Ok(machine)
    }

    /// Starts its agent on what the one before has left.
    pub(super) fn starts(&mut self) -> anyhow::Result<()> {
        self.run(&[])
    }

    fn run(&mut self, more: &[&str]) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = self.place.command(&self.program);
        let platform = format!("http://{}:{}", self.place.platform, self.way.port);
        command.args(["agent", "--join", &platform, "--name", self.name]);
        command.args(["--listen-ip", &self.place.address.to_string()]);
        command.arg("--data").arg(&self.data).args(more);
        command.env("NO_COLOR", "1").stdout(Stdio::null()).stderr(log);
        self.agent = Some(Group::start(command, Signal::TERM, STOP_LONGEST)?);
        Ok(())
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// Its agent ends; what it has started goes on.
    pub(super) async fn ends(&mut self, how: Signal) -> anyhow::Result<()> {
        let agent = self.agent.take().context("its agent does not run")?;
        let status = agent.ends(how).await?;
        let well = how == Signal::KILL || status.success();
        anyhow::ensure!(well, "the agent of {} did not end as it should ({status})", self.name);
        Ok(())
    }

    /// Another program takes the place of the one that runs, under the same name.
    pub(super) fn is_upgraded(&mut self) -> anyhow::Result<()> {
        self.upgrades += 1;
        let new = self.program.with_extension("new");
        fs::copy(PROGRAM, &new)?;
        // What follows the program's last section is nobody's, but makes it another file.
        let mut file = File::options().append(true).open(&new)?;
        writeln!(file, "upgrade {}", self.upgrades)?;
        drop(file);
        Ok(fs::rename(new, &self.program)?)
    }

    /// It loses its power: everything that runs there ends at once.
    pub(super) async fn loses_power(&mut self) -> anyhow::Result<()> {
        self.ends(Signal::KILL).await?;
        loop {
            let left = processes_of(&self.data);
            if left.is_empty() {
                return Ok(());
            }
            for pid in left {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::KILL);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}
