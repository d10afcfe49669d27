//! One process with all its children, from before its program begins until none is left. A child
//! that leaves the group is found by descent, session or mark; one that has lost all three is not.
//!
//! A small shell waits at a gate before it becomes the program: only when the process is remembered
//! for the next agent, and limited, is it let through. An agent that is killed before that leaves a
//! shell that reads the end of its input and goes; killed later, a process that is remembered.

use std::{
    collections::BTreeMap,
    io,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process_group, pidfd_open, prlimit,
};
use tokio::{
    io::{AsyncWriteExt as _, Interest, unix::AsyncFd},
    net::unix::pipe,
    process::{Child, Command},
    task::JoinHandle,
};
use types::Secret;

use crate::{
    family::{self, Family, MARK, Survey, Surveys},
    machine::{self, Seen},
    orphans,
    output::{Output, pump},
};

const GATE: &str = "read -r _ && exec \"$@\" </dev/null";
/// How often to look for a process that cannot be waited for.
const LOOK: Duration = Duration::from_millis(100);
/// How long the rest of what a process printed is waited for after its end.
const REST: Duration = Duration::from_secs(1);
/// How often what is left of a family is looked for.
const ROUNDS: u32 = 5;

/// What to run.
pub(crate) struct Launch<'a> {
    /// The program and its arguments.
    pub(crate) command: &'a [String],
    /// Where.
    pub(crate) folder: &'a Path,
    /// Its whole environment, with a [`MARK`] that is nobody else's.
    pub(crate) variables: BTreeMap<String, Secret>,
    /// The file for what it prints.
    pub(crate) log: PathBuf,
    /// Where it is remembered.
    pub(crate) remembered: PathBuf,
    /// How its processes are found.
    pub(crate) surveys: Surveys,
}

/// A process and its family. Dropped, all of them are killed.
pub(crate) struct Process {
    child: Child,
    family: Family,
    surveys: Surveys,
    remembered: PathBuf,
    pump: JoinHandle<()>,
}

impl Process {
    /// Starts it. What it prints goes to `output`.
    pub(crate) async fn launch(launch: Launch<'_>, output: &Output) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let child = spawn(&launch, writer)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("the process has no number"))?;
        let reader = pipe::Receiver::from_owned_fd(reader.into())?;
        let pump = tokio::spawn(pump(reader, output.clone(), launch.log));
        let mark = launch.variables.get(MARK).map_or("", Secret::reveal).to_owned();
        let family = Family { leader: pid, mark };
        let Launch { surveys, remembered, .. } = launch;
        let mut process = Self { child, family, surveys, remembered, pump };
        orphans::remember(&process.remembered, &process.family)?;
        // A core file would hold what the process knows.
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        prlimit(Some(pid), Resource::Core, none)?;
        if let Some(mut gate) = process.child.stdin.take() {
            gate.write_all(b"\n").await?;
        }
        Ok(process)
    }

    /// Its process group.
    pub(crate) fn group(&self) -> Pid {
        self.family.leader
    }

    /// Its processes, and how they are known.
    pub(crate) fn family(&self) -> Family {
        self.family.clone()
    }

    /// Waits until it ends, then ends what is left of its family. May be asked again after it was
    /// interrupted.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        if self.child.id().is_some() {
            end_of(self.family.leader).await;
        }
        self.signal(Signal::KILL);
        self.end_the_rest().await;
        let status = self.child.wait().await?;
        if !self.pump.is_finished() {
            let _ = tokio::time::timeout(REST, &mut self.pump).await;
        }
        Ok(status)
    }

    /// Asks the family to end, and ends it after `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        // Looked for first: who is known by descent cannot be seen any more once a parent has ended.
        let outside = self.surveys.fresh().await.members(&self.family);
        let outside: Vec<Seen> =
            outside.into_iter().filter(|seen| seen.group != self.family.leader).collect();
        self.signal(Signal::TERM);
        family::signal(&outside, Signal::TERM);
        let ended = async {
            end_of(self.family.leader).await;
            for seen in &outside {
                end_of(seen.pid).await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            self.signal(Signal::KILL);
        }
        family::signal(&outside, Signal::KILL);
        let _ = self.ended().await;
    }

    /// Signals the group. A leader that was not yet waited for still owns the group's number;
    /// afterwards, and then the group has been killed, it may be another's.
    fn signal(&self, signal: Signal) {
        if self.child.id().is_some() {
            let _ = kill_process_group(self.family.leader, signal);
        }
    }

    /// Ends the members that have left the group, and what they start while that is done.
    async fn end_the_rest(&self) {
        for _ in 0..ROUNDS {
            let members = self.surveys.fresh().await.members(&self.family);
            if self.child.id().is_none() || members.is_empty() {
                return;
            }
            family::signal(&members, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.id().is_some() {
            self.signal(Signal::KILL);
            family::signal(&Survey::take().members(&self.family), Signal::KILL);
        }
        self.pump.abort();
        orphans::forget(&self.remembered, self.family.leader);
    }
}

fn spawn(launch: &Launch<'_>, writer: io::PipeWriter) -> io::Result<Child> {
    let variables = launch.variables.iter().map(|(name, value)| (name, value.reveal()));
    // The writing ends go with the command, so that the pipe ends with the group.
    Command::new("/bin/sh")
        .args(["-c", GATE, "sh"])
        .args(launch.command)
        .current_dir(launch.folder)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()
}

/// Returns when the process has ended, be it a child or not, waited for or not.
#[expect(
    deprecated,
    reason = "its successor is unsafe for descriptors that may close early; ours cannot"
)]
pub(crate) async fn end_of(pid: Pid) {
    let watch = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
    let watch = watch.and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE));
    match watch {
        Ok(watch) => drop(watch.readable().await),
        // There is no such process, or too many files are open to wait for it in this way.
        Err(_) => {
            while machine::process(pid).is_some_and(|seen| !seen.ended) {
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// How a process ended, in words.
pub(crate) fn in_words(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with status {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        },
        Err(cause) => format!("ended, and how is not known: {cause}"),
    }
}
