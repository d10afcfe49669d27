//! A process of the platform: started, asked to end, its log kept in a file.

use std::{
    fs::{self, File},
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{PATIENCE, machine::signal};

/// What is under way, the last usage and replicas each have a while to end, a minute in all. Nothing may
/// take longer, but for a machine that does much else.
const FAREWELL: Duration = Duration::from_secs(90);
/// So many lines of each log are shown when a story fails.
const LINES_SHOWN: usize = 40;

pub(crate) struct Process {
    name: String,
    child: Child,
    /// Kept, so that the process can go on printing.
    _out: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Process {
    /// Starts a process and waits until it says that it is ready.
    pub(super) async fn start(name: &str, mut command: Command, logs: &Path) -> Self {
        fs::create_dir_all(logs).unwrap();
        let log = logs.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.env_remove("MANDATE_TOKEN").env_remove("MANDATE_URL").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // A signal for the test is not one for it; what is left of it ends with the story.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, out.next_line()).await.expect("it says that it is ready");
        let line = line.unwrap().unwrap_or_else(|| panic!("`{name}` ended before it was ready"));
        let url = line.strip_prefix("ready ").unwrap().to_owned();
        Self { name: name.to_owned(), child, _out: out, url }
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub(crate) fn signal(&self, which: Signal) {
        signal(self.child.id().unwrap(), which);
    }

    /// Waits until it has ended.
    pub(super) async fn ended(mut self) -> ExitStatus {
        let ended = timeout(FAREWELL, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("`{}` does not end", self.name)).unwrap()
    }

    /// Asks it to end, which it does with status 0.
    pub(crate) async fn ends_well(self) {
        self.signal(Signal::TERM);
        let name = self.name.clone();
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "`{name}` ended with {status}");
    }
}

/// Shows the end of every log.
pub(super) fn show_logs(logs: &Path) {
    for entry in fs::read_dir(logs).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.len().saturating_sub(LINES_SHOWN);
        eprintln!("—— {} ——\n{}\n", entry.path().display(), lines[shown..].join("\n"));
    }
}
