//! The platform's process: built, started, watched and stopped.

use std::{
    fs::{DirBuilder, File},
    net::TcpListener,
    ops::RangeInclusive,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    time::timeout,
};

use super::{
    Demo,
    person::{PROGRAM, text},
};
use crate::{
    machine,
    process::{Group, Remains},
};

/// How long the platform may take to begin.
const START_LONGEST: Duration = Duration::from_mins(1);
/// How long it may take to end.
const STOP_LONGEST: Duration = Duration::from_secs(40);
/// All parts but the agent.
pub(crate) const WITHOUT_AGENT: &str =
    "identity,access,provider,configurator,billing,jobs,releases,gateway,console";
/// How many lines of the log are shown when something fails.
const LAST_LINES: usize = 30;

/// A running platform, stopped when this is dropped.
pub(crate) struct Platform {
    group: Group,
    /// Where people and programs find it.
    pub(crate) port: u16,
    /// Where it writes its log.
    pub(crate) log: PathBuf,
    /// Kept, so that it may go on printing.
    output: BufReader<Box<dyn AsyncRead + Unpin>>,
}

impl Platform {
    /// Starts it on a folder, with further options, and waits until it is ready.
    pub(crate) async fn start(
        data: &Path,
        port: Option<u16>,
        options: &[&str],
    ) -> anyhow::Result<Self> {
        Self::start_by(PROGRAM, data, port, options).await
    }

    /// The same, with another build of the program.
    pub(crate) async fn start_by(
        program: &str,
        data: &Path,
        port: Option<u16>,
        options: &[&str],
    ) -> anyhow::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        let port = match port {
            Some(port) => free_port(port..=port)?,
            None => free_port(8080..=8179)?,
        };
        let log = data.join("mandate.log");
        let mut command = Command::new(program);
        command.arg("up").arg("--data").arg(data).args(["--port", &port.to_string()]);
        command.args(options).env("NO_COLOR", "1");
        machine::tell_pip(&mut command)?;
        command.stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut group = Group::start(command, Signal::TERM, STOP_LONGEST)?;
        let output = BufReader::new(group.pipe().expect("its output is piped"));
        let mut platform = Self { group, port, log, output };
        match platform.ready().await {
            Ok(()) => Ok(platform),
            Err(error) => Err(error.context(platform.last_words())),
        }
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let mut line = String::new();
        let read = timeout(START_LONGEST, self.output.read_line(&mut line)).await;
        read.context("`mandate up` is not ready after a minute")??;
        let ready = format!("ready http://127.0.0.1:{}", self.port);
        ensure!(line.trim() == ready, "`mandate up` printed `{}`, not `{ready}`", line.trim());
        Ok(())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Kills it without a warning.
    pub(crate) fn kill(self) -> Option<ExitStatus> {
        self.group.kill()
    }

    /// Stops it.
    pub(crate) fn stop(self) -> Option<ExitStatus> {
        self.group.stop()
    }

    /// Waits until it ends by itself, which it should not.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitCode> {
        let status = self.group.wait().await?;
        bail!("`mandate up` ended ({status}); its log ends with:\n{}", self.last_words())
    }
}

/// The first port of several that nobody has.
pub(crate) fn free_port(mut wanted: RangeInclusive<u16>) -> anyhow::Result<u16> {
    let (first, last) = (*wanted.start(), *wanted.end());
    let free = wanted.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.with_context(|| {
        if first == last {
            format!("the port {first} is taken; choose another one with `--port`")
        } else {
            format!("no port from {first} to {last} is free")
        }
    })
}

/// The machine's agent: fetches releases, runs replicas and jobs.
pub(crate) struct Agent {
    /// Where it keeps what it has, and is found again.
    data: PathBuf,
    group: Option<Group>,
    /// What it leaves when it is stopped, which is ended with the demonstration.
    _remains: Remains,
}

impl Agent {
    /// Starts it for the first time, or on what an earlier run has left.
    pub(super) async fn start(demo: &Demo) -> anyhow::Result<Self> {
        let data = demo.data.join("agent");
        DirBuilder::new().recursive(true).mode(0o700).create(&data)?;
        let token = demo.operator.ask("node token").await?;
        let mut agent = Self { _remains: Remains(data.clone()), data, group: None };
        agent.run(demo.port, Some(text(&token, "/token")?))?;
        Ok(agent)
    }

    /// Stops it; what it has started goes on.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.group.take().and_then(Group::stop);
        let ended = status.is_some_and(|status| status.success());
        ensure!(ended, "`mandate agent` did not stop as it should ({status:?})");
        Ok(())
    }

    /// Starts it on what the one before has left.
    pub(crate) fn start_again(&mut self, port: u16) -> anyhow::Result<()> {
        self.run(port, None)
    }

    fn run(&mut self, port: u16, token: Option<&str>) -> anyhow::Result<()> {
        let mut command = Command::new(PROGRAM);
        let platform = format!("http://127.0.0.1:{port}");
        command.args(["agent", "--join", &platform, "--name", "here"]);
        command.arg("--data").arg(&self.data);
        command.envs(token.map(|token| ("MANDATE_JOIN_TOKEN", token)));
        command.env("NO_COLOR", "1");
        machine::tell_pip(&mut command)?;
        let log = File::options().create(true).append(true).open(self.data.join("agent.log"))?;
        command.stdout(Stdio::null()).stderr(log);
        self.group = Some(Group::start(command, Signal::TERM, STOP_LONGEST)?);
        Ok(())
    }
}

/// How the operator signs in.
pub(crate) struct Operator {
    /// The e-mail address.
    pub(crate) email: String,
    /// The password, which the first start made.
    pub(crate) password: String,
}

/// Reads what the first start has left for the operator.
pub(crate) fn operator(data: &Path) -> anyhow::Result<Operator> {
    let path = data.join("operator.txt");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("the first start did not write `{}`", path.display()))?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let line = line.with_context(|| format!("`{}` has no `{key}`", path.display()))?;
        anyhow::Ok(line.trim().to_owned())
    };
    Ok(Operator { email: value("e-mail:")?, password: value("password:")? })
}

/// The first start has made what is secret, for its owner's eyes only; the operator can sign in.
pub(super) async fn first_start(demo: &Demo) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["master.key", "operator.txt"] {
        let path = demo.data.join(name);
        let mode = std::fs::metadata(&path)
            .with_context(|| format!("the first start did not write `{}`", path.display()))?
            .permissions()
            .mode();
        ensure!(mode & 0o777 == 0o600, "others than its owner can read `{}`", path.display());
    }
    demo.operator.ask(&format!("sign-in {}", demo.operator.email)).await?;
    let data = demo.data.display();
    demo.story.done(format!("master.key and operator.txt are in {data}; the operator signs in"));
    demo.browser("console.localhost").get("/").await?.is(200)?;
    let document = demo.browser("api.localhost").get("/billing/v1/openapi.json").await?.is(200)?;
    document.shows("billing.getBill")?;
    demo.story.done("the console answers, and so does the API with its OpenAPI documents");
    Ok(())
}
