//! The agent against a platform of the tests' own, with real processes and with simulated nodes.

mod environment;
mod files;
mod fleet;
mod folders;
mod full;
mod health;
mod jobs;
mod lasting;
mod misbehaving;
mod packages;
mod platform;
mod ports;
mod processes;
mod releases;
mod replicas;
mod sharing;
mod tokens;
mod unpacking;
mod users;

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use api::releases::Machine;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{sync::oneshot, task::JoinHandle};
use types::{Clock, Secret, SystemClock};

use crate::{Config, Error, pause::Pace, run_at};
use platform::Platform;

/// Quick, so that tests are.
const PACE: Pace = Pace {
    drain: Duration::from_millis(50),
    grace: Duration::from_secs(1),
    start: Duration::from_secs(20),
    last: Duration::from_millis(300),
    pre_start: Duration::from_secs(5),
    look: Duration::from_millis(100),
    answer: Duration::from_secs(1),
    tell: Duration::from_millis(50),
    rest: Duration::from_mins(1),
    removed: Duration::from_millis(500),
    build: Duration::from_secs(20),
    part: Duration::from_secs(3),
    sharing: Duration::from_secs(30),
    again: Duration::from_millis(40),
    again_at_most: Duration::from_millis(400),
    ask_again_at_most: Duration::from_millis(200),
};

/// Nothing that is waited for takes longer, also on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);

/// A folder that is gone after the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agent-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        crate::folder::remove_folder(&path).unwrap();
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    /// Ends also what an agent has left there, whether the test went well or not.
    fn drop(&mut self) {
        let mut left = processes_of(&self.0);
        while !left.is_empty() {
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
            left = processes_of(&self.0);
        }
        let _ = crate::folder::remove_folder(&self.0);
    }
}

/// The processes whose command or environment names a folder, and who is below them.
fn processes_of(folder: &Path) -> Vec<Pid> {
    let names = |pid: &Pid, file: &str| {
        let text = std::fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero()));
        let wanted = folder.as_os_str().as_encoded_bytes();
        text.unwrap_or_default().windows(wanted.len()).any(|part| part == wanted)
    };
    let me = rustix::process::getpid();
    let all = crate::machine::processes();
    let living = all.iter().filter(|seen| !seen.ended && seen.pid != me).map(|seen| seen.pid);
    let mut found: Vec<Pid> =
        living.filter(|pid| names(pid, "environ") || names(pid, "cmdline")).collect();
    // Of a holder they are found even if they have cleared their environment.
    for seen in all.iter().filter(|seen| !seen.ended) {
        if seen.parent.is_some_and(|parent| found.contains(&parent)) && !found.contains(&seen.pid) {
            found.push(seen.pid);
        }
    }
    found
}

/// An agent that runs.
struct Agent {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Agent {
    fn start(platform: &Arc<Platform>, data: &Path) -> Self {
        Self::start_with(platform, data, Arc::new(SystemClock))
    }

    fn start_with(platform: &Arc<Platform>, data: &Path, clock: Arc<dyn Clock>) -> Self {
        Self::run(config(platform, data, clock))
    }

    fn run(config: Config) -> Self {
        Self::run_at(config, PACE)
    }

    /// Leaves what runs, as an agent does whose part alone is stopped.
    fn leaving(platform: &Arc<Platform>, data: &Path) -> Self {
        let config = config(platform, data, Arc::new(SystemClock));
        Self::run(Config { ends_all: false, ..config })
    }

    /// Gives each instance a user of its own, where it can.
    fn with_users(platform: &Arc<Platform>, data: &Path) -> Self {
        let config = config(platform, data, Arc::new(SystemClock));
        Self::run(Config { one_user: false, ..config })
    }

    fn run_at(config: Config, pace: Pace) -> Self {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        Self { stop, task: tokio::spawn(run_at(config, shutdown, pace)) }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }
}

fn config(platform: &Arc<Platform>, data: &Path, clock: Arc<dyn Clock>) -> Config {
    Config {
        data: data.to_owned(),
        name: "node-1".parse().unwrap(),
        transport: Arc::new(platform::Shared(Arc::clone(platform))),
        join_token: Secret::new("join"),
        platform_url: "http://127.0.0.1:1".to_owned(),
        listen_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports: 20_000..=29_999,
        share_packages: None,
        machine: Machine::default(),
        program: program(),
        ends_all: true,
        one_user: true,
        processes_max: 64,
        clock,
    }
}

/// How this program is called so that it holds a command.
fn program() -> Vec<OsString> {
    let name = "tests::hold_a_command";
    ["/proc/self/exe", "--ignored", "--exact", name, "--"].map(Into::into).into()
}

/// Not a test of its own: what the agents of the others start.
#[test]
#[ignore = "it is what agents start"]
fn hold_a_command() {
    let mut words = std::env::args_os();
    if words.by_ref().any(|word| word == "--")
        && let Some(code) = crate::hold(["".into()].into_iter().chain(words))
    {
        std::process::exit(code.into());
    }
}

/// Waits for what cannot be listened for: files, processes, ports.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited for: {what}");
}

fn runs(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    crate::machine::process(pid).is_some_and(|seen| !seen.ended)
}
