//! The platform in four processes: `jobs`, `releases` and `configurator`, each of which is killed
//! alone, and the rest.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    time::timeout,
};

use super::MOVE_AFTER;
use crate::{
    demo::{person::PROGRAM, platform::free_port},
    process::Group,
};

/// What is killed.
pub(super) const KILLED: [&str; 3] = ["jobs", "releases", "configurator"];
/// What is not, in one process.
const REST: &str = "identity,access,provider,billing,gateway,console";
const START_LONGEST: Duration = Duration::from_mins(1);
const STOP_LONGEST: Duration = Duration::from_secs(40);
/// How many lines of a log are shown when something fails.
const LAST_LINES: usize = 20;

/// The processes of the platform; they end when this is dropped.
pub(super) struct Parts {
    data: PathBuf,
    /// What each is told of databases.
    databases: Vec<String>,
    /// Where each listens.
    ports: BTreeMap<&'static str, u16>,
    running: BTreeMap<&'static str, Part>,
}

struct Part {
    group: Group,
    /// Kept, so that it may go on printing.
    _output: BufReader<Box<dyn AsyncRead + Unpin>>,
}

impl Parts {
    /// Starts all of them on an empty folder.
    pub(super) async fn start(data: &Path, databases: Vec<String>) -> anyhow::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        let mut ports = BTreeMap::new();
        for name in [REST].into_iter().chain(KILLED) {
            let above = ports.values().max().map_or(8_180, |port| port + 1);
            ports.insert(name, free_port(above..=8_999)?);
        }
        let running = BTreeMap::new();
        let mut this = Self { data: data.to_owned(), databases, ports, running };
        // The others need the keys that it makes.
        for name in [REST].into_iter().chain(KILLED) {
            this.start_one(name).await?;
        }
        Ok(this)
    }

    /// Where people and machines reach the platform.
    pub(super) fn port(&self) -> u16 {
        self.ports[REST]
    }

    /// Starts one that is not there.
    pub(super) async fn start_one(&mut self, name: &'static str) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log(name))?;
        let mut command = Command::new(PROGRAM);
        command.arg("up").arg("--data").arg(&self.data).args(["--only", name]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.ports[name])]);
        command.args(["--public-url", &format!("http://localhost:{}", self.port())]);
        command.args(["--move-after", &format!("{}s", MOVE_AFTER.as_secs())]);
        for (others, port) in self.ports.iter().filter(|(others, _)| **others != name) {
            let peers = others.split(',');
            let peers = peers.map(|peer| format!("--peer={peer}=http://127.0.0.1:{port}"));
            command.args(peers);
        }
        command.args(&self.databases).env("NO_COLOR", "1");
        command.stdout(Stdio::piped()).stderr(log);
        let mut group = Group::start(command, Signal::TERM, STOP_LONGEST)?;
        let mut output = BufReader::new(group.pipe().expect("its output is piped"));
        let mut line = String::new();
        let read = timeout(START_LONGEST, output.read_line(&mut line)).await;
        read.with_context(|| format!("`{name}` is not ready after a minute"))??;
        ensure!(line.starts_with("ready "), "`{name}` ended at once: {}", self.last_words());
        self.running.insert(name, Part { group, _output: output });
        Ok(())
    }

    /// Kills one without a warning.
    pub(super) async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let part = self.running.remove(name).context("it does not run")?;
        part.group.ends(Signal::KILL).await?;
        Ok(())
    }

    /// Asks all of them to end, which they do well.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        for name in KILLED.into_iter().rev().chain([REST]) {
            let part = self.running.remove(name).context("it does not run")?;
            let status = part.group.ends(Signal::TERM).await?;
            ensure!(status.success(), "`{name}` did not end as it should ({status})");
        }
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        let name = if name == REST { "rest" } else { name };
        self.data.with_file_name(format!("{name}.log"))
    }

    /// The ends of the logs.
    pub(super) fn last_words(&self) -> String {
        let end = |name| {
            let log = std::fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            format!("{}:\n{last}\n", self.log(name).display())
        };
        self.ports.keys().map(|name| end(name)).collect()
    }
}
