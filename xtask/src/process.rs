//! Programs that are started here, each in a process group of its own, and always stopped.

use std::{
    fs::{self, DirEntry},
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Child,
    time::{sleep, timeout},
};

/// How long a single program may run.
const RUN_LONGEST: Duration = Duration::from_mins(45);
/// How long output is still read after a program ended, should a child of it hold on to the pipe.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often something is asked that is waited for.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How often it is looked whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A program and all that it starts, asked to end when this is dropped.
pub(crate) struct Group {
    child: Child,
    leader: Pid,
    /// With which signal it is asked.
    stop: Signal,
    /// How long it may take to end before it is killed.
    patience: Duration,
}

impl Group {
    /// Starts a program that is asked to end by `stop`, without standard input.
    pub(crate) fn start(
        mut command: Command,
        stop: Signal,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let program = command.get_program().display().to_string();
        command.stdin(Stdio::null()).process_group(0);
        let child = tokio::process::Command::from(command)
            .spawn()
            .with_context(|| format!("`{program}` cannot be started"))?;
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let leader = leader.expect("a child that was not waited for has an id");
        Ok(Self { child, leader, stop, patience })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for it to end by itself.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// What it prints, if that was piped and not taken before.
    pub(crate) fn pipe(&mut self) -> Option<Box<dyn AsyncRead + Unpin>> {
        if let Some(out) = self.child.stdout.take() {
            return Some(Box::new(out));
        }
        self.child.stderr.take().map(|err| Box::new(err) as Box<dyn AsyncRead + Unpin>)
    }

    /// Asks it to end, waits, and kills it if need be; how it ended.
    pub(crate) fn stop(mut self) -> Option<ExitStatus> {
        self.end();
        self.ended()
    }

    /// Kills it, as a loss of power would; how it ended.
    pub(crate) fn kill(mut self) -> Option<ExitStatus> {
        self.stop = Signal::KILL;
        self.stop()
    }

    /// Sends it a signal and waits until it has ended, and kills it if it takes too long; how it
    /// ended.
    pub(crate) async fn ends(mut self, how: Signal) -> anyhow::Result<ExitStatus> {
        // An error means that it is gone, which is what is wanted.
        let _ = kill_process_group(self.leader, how);
        match timeout(self.patience, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => self.kill().context("it does not end"),
        }
    }

    fn end(&mut self) {
        for signal in [self.stop, Signal::KILL] {
            if self.ended().is_some() {
                return;
            }
            // An error means that it is gone, which is what is wanted.
            let _ = kill_process_group(self.leader, signal);
            let asked = Instant::now();
            while self.ended().is_none() && asked.elapsed() < self.patience {
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a killed platform left in a folder: it goes on without the platform, but not without the
/// program that started it, so it ends when this is dropped.
pub(crate) struct Remains(pub(crate) PathBuf);

impl Drop for Remains {
    fn drop(&mut self) {
        for pid in processes_of(&self.0) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The processes that were started for what is in a folder: their command or environment names it.
pub(crate) fn processes_of(folder: &Path) -> Vec<Pid> {
    let names = |pid: &Pid, file: &str| {
        let text = fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero()));
        let wanted = folder.as_os_str().as_encoded_bytes();
        text.unwrap_or_default().windows(wanted.len()).any(|part| part == wanted)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pid = |entry: DirEntry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
    let own = rustix::process::getpid();
    let others = entries.filter_map(pid).filter(|pid| *pid != own);
    others.filter(|pid| names(pid, "environ") || names(pid, "cmdline")).collect()
}

/// A variable of a process's environment.
pub(crate) fn variable(pid: Pid, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    let mut pairs = environment.split(|byte| *byte == 0).filter_map(|it| str::from_utf8(it).ok());
    pairs.find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// Runs a program to its end, which must be a good one.
pub(crate) async fn succeeds(command: &mut Command) -> anyhow::Result<()> {
    let described = format!("{command:?}");
    let status = run(std::mem::replace(command, Command::new("true"))).await?;
    anyhow::ensure!(status.success(), "`{described}` failed ({status})");
    Ok(())
}

/// Runs a program to its end with this program's output.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitStatus> {
    follow(command, |_| {}).await
}

/// Runs a program to its end, passes on what was piped (one of its two outputs), and shows each
/// line of it to `see`.
pub(crate) async fn follow(
    command: Command,
    mut see: impl FnMut(&str),
) -> anyhow::Result<ExitStatus> {
    let passes_on = |line: &str| {
        // Nobody reads any more: the program is seen through all the same.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
        see(line.trim_end());
    };
    listen(command, passes_on).await
}

/// Runs a program to its end, and shows each line of what was piped to `see`.
pub(crate) async fn listen(
    command: Command,
    mut see: impl FnMut(&str),
) -> anyhow::Result<ExitStatus> {
    let program = command.get_program().display().to_string();
    let mut group = Group::start(command, Signal::TERM, Duration::from_secs(10))?;
    let pipe = group.pipe();
    let work = async {
        let Some(pipe) = pipe else { return group.wait().await };
        let mut reading = std::pin::pin!(read(pipe, &mut see));
        tokio::select! {
            read = &mut reading => {
                read?;
                group.wait().await
            }
            status = group.wait() => {
                let status = status?;
                if let Ok(read) = timeout(LAST_WORDS, reading).await {
                    read?;
                }
                Ok(status)
            }
        }
    };
    match timeout(RUN_LONGEST, work).await {
        Ok(status) => status,
        Err(_) => bail!("`{program}` did not end within {} minutes", RUN_LONGEST.as_secs() / 60),
    }
}

async fn read(pipe: impl AsyncRead + Unpin, see: &mut impl FnMut(&str)) -> anyhow::Result<()> {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        let text = String::from_utf8_lossy(&line);
        see(text.strip_suffix('\n').unwrap_or(&text));
        line.clear();
    }
    Ok(())
}

/// Runs a program to its end and returns what it printed and how it ended.
pub(crate) async fn output(command: Command) -> anyhow::Result<Output> {
    let program = command.get_program().display().to_string();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let done = timeout(RUN_LONGEST, command.output()).await;
    let done = done.with_context(|| format!("`{program}` does not end"))?;
    done.with_context(|| format!("`{program}` cannot be started"))
}

/// Asks every 50 milliseconds until there is an answer or the time is up.
pub(crate) async fn until<T>(
    longest: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(Some(answer));
        }
        if begun.elapsed() > longest {
            return Ok(None);
        }
        sleep(ASK_EVERY).await;
    }
}
