//! The `mandate` program itself, as a process of its own.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long it may take to end by itself.
const END_TIME_MAX: Duration = Duration::from_secs(15);

pub(crate) struct Program {
    child: Child,
    /// Where it answers.
    pub(crate) url: String,
    /// How long it took from its start to being ready.
    pub(crate) took: Duration,
}

impl Program {
    /// Starts `mandate up` on the empty folder `data` and waits until it says that it is ready.
    pub(crate) fn up(data: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data)?;
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
        command.args(["up", "--port", "0", "--database", "sqlite", "--data"]).arg(data);
        command.args(arguments).env_remove("MANDATE_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(data.join("log"))?);
        let mut child = command.spawn().context("`mandate` cannot be started")?;
        let stdout = child.stdout.take().context("its output is piped")?;
        let mut program = Self { child, url: String::new(), took: Duration::ZERO };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.trim().strip_prefix("ready ").map(str::to_owned);
        let log = || std::fs::read_to_string(data.join("log")).unwrap_or_default();
        program.url = url.with_context(|| format!("`mandate up` is not ready: {}", log()))?;
        program.took = begun.elapsed();
        Ok(program)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let id = Pid::from_raw(self.child.id().cast_signed()).context("a child has an id")?;
        kill_process(id, Signal::TERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(asked.elapsed() < END_TIME_MAX, "it does not end by itself");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.end().is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
