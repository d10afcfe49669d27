//! An installation: its processes, its folder, its ports.

mod http;
mod machine;
mod people;
mod process;

use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::Future,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use api::releases::{ListNodes, ReleaseState};
use db::{EngineKind, testing};
use tokio::process::Command;
use types::{AccountId, Clock as _, SystemClock};

pub(crate) use http::{Answer, Browser};
pub(crate) use machine::{alive, free_port, processes_of, replicas_at, signal, variable};
pub(crate) use people::{PASSWORD, Person, workspace};
pub(crate) use process::Process;
pub(crate) use rustix::process::Signal;

/// Everything that can stand in a process of its own, in the order in which it is started: what
/// makes the keys and the join token comes first.
const PARTS: [&str; 10] = [
    "identity",
    "access",
    "provider",
    "configurator",
    "billing",
    "jobs",
    "releases",
    "console",
    "gateway",
    "agent",
];

/// Nothing that is waited for takes longer, also on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);

/// How the parts of the platform stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All in one process.
    Together,
    /// Each in a process of its own.
    Apart,
}

pub(crate) struct World {
    shape: Shape,
    engine: EngineKind,
    folder: PathBuf,
    /// What the installation's databases are called by on a server shared with others.
    prefix: String,
    /// Where each part listens; the gateway's is where everybody comes in.
    ports: BTreeMap<&'static str, u16>,
    processes: Vec<Process>,
    /// Whether replicas end with an agent that stands alone.
    ends_replicas: bool,
    /// What every process is told beside.
    arguments: &'static [&'static str],
}

impl World {
    /// An installation from an empty folder.
    pub(crate) async fn start(shape: Shape, engine: EngineKind) -> Self {
        Self::start_with(shape, engine, &[]).await
    }

    /// The same, told more.
    pub(crate) async fn start_with(
        shape: Shape,
        engine: EngineKind,
        arguments: &'static [&'static str],
    ) -> Self {
        let prefix = format!("s{}", &chassis::random_secret().reveal()[..12]);
        let folder = format!("mandate-story-{shape:?}-{engine}-{prefix}").to_lowercase();
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir(&folder).unwrap();
        let ports = match shape {
            // It takes a free one and says which.
            Shape::Together => BTreeMap::from([("gateway", 0)]),
            Shape::Apart => PARTS.into_iter().map(|part| (part, free_port())).collect(),
        };
        let (processes, ends_replicas) = (Vec::new(), false);
        let mut world =
            Self { shape, engine, folder, prefix, ports, processes, ends_replicas, arguments };
        world.start_again().await;
        world
    }

    /// Starts every process on the folder as it is, at the ports where they were.
    pub(crate) async fn start_again(&mut self) {
        match self.shape {
            Shape::Together => {
                let process = self.begin("main", &[]).await;
                self.ports.insert("gateway", process.port());
                self.processes.push(process);
            }
            Shape::Apart => self.start_apart().await,
        }
        self.is_acquainted().await;
    }

    async fn start_apart(&mut self) {
        let (first, others) = PARTS.split_first().unwrap();
        let first = self.begin(first, &[first]).await;
        let others = others.iter().map(|part| self.begin(part, std::slice::from_ref(part)));
        let others = futures_util::future::join_all(others).await;
        self.processes.push(first);
        self.processes.extend(others);
    }

    /// Waits until each component can decide about people: until it has heard of what is granted
    /// it asks for patience.
    async fn is_acquainted(&self) {
        let operator = self.operator().await;
        let api = self.browser("localhost").with_token(&operator.token());
        let account = AccountId::new(SystemClock.now());
        for question in [
            "/identity/v1/accounts".to_owned(),
            format!("/access/v1/accounts/{account}/grants"),
            format!("/provider/v1/accounts/{account}/orders"),
            format!("/configurator/v1/accounts/{account}/instances"),
            format!("/billing/v1/accounts/{account}/bill"),
            "/jobs/v1/queues".to_owned(),
            "/releases/v1/services".to_owned(),
        ] {
            until(&question, async || api.get(&question).await.status != 503).await;
        }
    }

    async fn begin(&self, name: &str, parts: &[&str]) -> Process {
        let mut command = self.up(&self.data());
        if parts.is_empty() {
            command.args(["--port", &self.port().to_string()]);
        }
        if let Some(part) = parts.first() {
            let listen = format!("127.0.0.1:{}", self.ports[part]);
            command.args(["--only", part, "--listen", &listen, "--public-url", &self.public_url()]);
            let others = self.ports.iter().filter(|(other, _)| *other != part);
            for (other, port) in others {
                command.arg("--peer").arg(format!("{other}=http://127.0.0.1:{port}"));
            }
            command.args((self.ends_replicas && *part == "agent").then_some("--end-replicas"));
        }
        Process::start(name, command, &self.logs()).await
    }

    fn up(&self, data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
        command.arg("up").arg("--data").arg(data).args(self.arguments);
        if self.engine == EngineKind::Postgres {
            command.args(["--database", &testing::server(), "--database-prefix", &self.prefix]);
        }
        command
    }

    /// Where browsers reach the first gateway; every process is told.
    fn public_url(&self) -> String {
        format!("http://localhost:{}", self.port())
    }

    /// A gateway more, as on a machine of its own: it has the keys, and asks the first one for the
    /// rest.
    pub(crate) async fn another_gateway(&self) -> Process {
        let data = self.folder.join("second");
        std::fs::create_dir_all(data.join("keys")).unwrap();
        std::fs::copy(self.data().join("master.key"), data.join("master.key")).unwrap();
        for key in std::fs::read_dir(self.data().join("keys")).unwrap() {
            let key = key.unwrap();
            std::fs::copy(key.path(), data.join("keys").join(key.file_name())).unwrap();
        }
        let mut command = self.up(&data);
        command.args(["--only", "gateway", "--name", "second", "--listen", "127.0.0.1:0"]);
        command.args(["--public-url", &self.public_url()]);
        for component in api::COMPONENTS {
            command.arg("--peer").arg(format!("{component}=http://127.0.0.1:{}", self.port()));
        }
        Process::start("second", command, &self.logs()).await
    }

    /// Whether replicas go on when everything is asked to end.
    pub(crate) fn leaves_replicas(&self) -> bool {
        self.shape == Shape::Apart && !self.ends_replicas
    }

    /// From the next start on they do not.
    pub(crate) fn will_end_replicas(&mut self) {
        self.ends_replicas = true;
    }

    /// Asks every process to end, and sees that each does so well and that none is left behind that
    /// should not be.
    pub(crate) async fn stop(&mut self) {
        for process in &self.processes {
            process.signal(Signal::TERM);
        }
        for process in self.processes.drain(..) {
            process.ends_well().await;
        }
        let left = processes_of(&self.folder);
        assert!(left.is_empty() || self.leaves_replicas(), "left behind: {left:?}");
    }

    /// Ends every process of the platform at once, as the loss of power would. What they started
    /// goes on.
    pub(crate) async fn kill(&mut self) {
        for process in &self.processes {
            process.signal(Signal::KILL);
        }
        for process in self.processes.drain(..) {
            process.ended().await;
        }
    }

    /// A part that stands in a process of its own is killed, and started again after a while.
    pub(crate) async fn loses(&mut self, part: &'static str, away: Duration) {
        let place = self.processes.iter().position(|process| process.is_called(part)).unwrap();
        let process = self.processes.swap_remove(place);
        process.signal(Signal::KILL);
        process.ended().await;
        tokio::time::sleep(away).await;
        let process = self.begin(part, &[part]).await;
        self.processes.push(process);
    }

    /// Stops everything and leaves nothing behind.
    pub(crate) async fn end(mut self) {
        self.stop().await;
        if self.engine == EngineKind::Postgres {
            testing::postgres(&self.prefix).remove_all().await.unwrap();
        }
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    pub(crate) fn engine(&self) -> EngineKind {
        self.engine
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports["gateway"]
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// A place for what a story writes.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Somebody with a browser at a host.
    pub(crate) fn browser(&self, host: &str) -> Browser {
        Browser::new(self.port(), host)
    }

    /// Waits until every machine has the release of `service` that was published last.
    pub(crate) async fn has_ready(&self, operator: &Person, service: &str) {
        until("the release is ready", async || {
            let nodes = operator.asks(ListNodes::default()).await.unwrap().items;
            let reports = nodes.iter().flat_map(|node| &node.releases);
            let reports: Vec<_> = reports.filter(|r| r.service.as_str() == service).collect();
            let failed = reports.iter().find(|report| report.state == ReleaseState::Failed);
            assert!(failed.is_none(), "{failed:?}");
            !reports.is_empty() && reports.iter().all(|r| r.state == ReleaseState::Ready)
        })
        .await;
    }
}

impl Drop for World {
    /// What goes on without the platform does not go on without the story.
    fn drop(&mut self) {
        for pid in processes_of(&self.folder) {
            signal(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            process::show_logs(&self.logs());
        }
    }
}

/// Waits for something that will be true soon.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The answer, once it is one that was waited for.
pub(crate) async fn eventually<T: Debug, F: Future<Output = T>>(
    what: &str,
    ask: impl Fn() -> F,
    is_it: impl Fn(&T) -> bool,
) -> T {
    let begin = Instant::now();
    loop {
        let seen = ask().await;
        if is_it(&seen) {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}; seen last: {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
