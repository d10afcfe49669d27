//! The holder: a process of one thread that holds one command, until nothing of it is left.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    os::{
        fd::OwnedFd,
        unix::{
            net::{UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, pidfd_open, set_child_subreaper,
        setsid, wait,
    },
};

use super::{
    r#become::Told,
    cgroup::Cgroup,
    due::{Due, Dues, Moment, Step, now},
    family::{self, Survey},
    pipes::Pipes,
    talk::Talk,
    wire::{Ask, CGROUP, CONTROL, Exit, Order},
};
use crate::folder::write_private;

/// How often those below that lost their parents are waited for.
const LOOK_MILLIS: u64 = 2_000;
/// The same while the command ends.
const HASTE_MILLIS: u64 = 10;
/// How long what was killed may take to be gone, and what was printed to be read.
const REST_MILLIS: u64 = 5_000;

/// Holds the command that it is told of at its standard input; its working folder is its own.
pub(super) fn main() -> u8 {
    let held = hold();
    if let Err(cause) = &held {
        // Whoever asks and finds nothing takes it for killed.
        let _ = Exit::because(format!("cannot be started: {cause}")).write(Path::new("."));
    }
    u8::from(held.is_err())
}

fn hold() -> io::Result<()> {
    let agent = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    // Whoever interrupts the agent does not mean what it runs.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    let mut reader = BufReader::new(agent);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    // An agent that was killed meanwhile has not said all of it.
    let Ok(Ask::Launch(order)) = serde_json::from_str(&line) else {
        return Err(io::Error::other("nobody said what to hold"));
    };
    let listener = UnixListener::bind(CONTROL)?;
    let talk = Talk::new(listener, reader.into_inner(), order.kept.clone(), order.lasting)?;
    Holder::start(&order, talk)?.run()
}

struct Holder {
    talk: Talk,
    pipes: Pipes,
    dues: Dues,
    grace_millis: u64,
    command: Pid,
    /// Readable when the command has ended; `None` once that is known.
    watch: Option<OwnedFd>,
    status: Option<WaitStatus>,
    cgroup: Option<Cgroup>,
    asked: bool,
    /// Since when everything is being killed.
    killing: Option<Moment>,
}

impl Holder {
    fn start(order: &Order, talk: Talk) -> io::Result<Self> {
        let cgroup = Cgroup::make();
        if let Some(cgroup) = &cgroup {
            order.bounds.of_all(cgroup);
            let path = cgroup.path().display().to_string();
            write_private(Path::new(CGROUP), &path).inspect_err(|_| cgroup.remove())?;
        }
        let (output, printing) = io::pipe()?;
        let (progress, telling) = io::pipe()?;
        let command = begin(order, cgroup.as_ref(), printing, telling)?;
        let pipes = Pipes::new(output, order.progress.then_some(progress), order.log.clone())?;
        let mut dues = Dues::default();
        if let Some(limit) = &order.limit {
            let (ask, why) = (limit.at, limit.why.clone());
            dues.add(Due { ask, end: ask + order.grace_millis, why });
        }
        let mut this = Self {
            talk,
            pipes,
            dues,
            grace_millis: order.grace_millis,
            command,
            watch: Some(pidfd_open(command, PidfdFlags::empty())?),
            status: None,
            cgroup,
            asked: false,
            killing: None,
        };
        if let Some(until) = order.lease {
            this.lease(until);
        }
        Ok(this)
    }

    fn run(mut self) -> io::Result<()> {
        while self.reap()? {
            self.serve();
            let Some(wake) = self.act() else { break };
            self.wait(wake)?;
            if let Some(said) = self.pipes.read() {
                self.talk.progress(&said)?;
            }
        }
        let rest = now() + REST_MILLIS;
        while self.pipes.is_open() && now() < rest {
            self.wait(rest)?;
            self.pipes.read();
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
        self.exit().write(Path::new("."))
    }

    /// Learns who has ended; whether anybody is left.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.command => {
                    (self.status, self.watch) = (Some(status), None);
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return Ok(true),
                Err(rustix::io::Errno::CHILD) => return Ok(false),
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    fn serve(&mut self) {
        for ask in self.talk.serve() {
            match ask {
                Ask::Launch(_) => {}
                Ask::Lease(until) => self.lease(until),
                Ask::End { grace_millis, why } => {
                    let ask = now();
                    self.dues.add(Due { ask, end: ask + grace_millis, why });
                }
            }
        }
        if self.talk.is_deserted() && self.killing.is_none() {
            let now = now();
            self.dues.add(Due { ask: now, end: now, why: "was ended with its agent".to_owned() });
        }
    }

    /// All is over before the lease has run out: somebody else may begin then.
    fn lease(&mut self, until: Moment) {
        let now = now();
        let notice = self.grace_millis.min(until.saturating_sub(now) / 4);
        let why = Exit::LEASE_LOST.to_owned();
        self.dues.lease(Due { ask: until - notice.min(until), end: until, why }, now);
    }

    /// Does what is due, and says when to look again; `None` if nothing more can be done.
    fn act(&mut self) -> Option<Moment> {
        let now = now();
        let ended = self.status.is_some();
        let step = if ended && self.dues.why().is_none() { Step::End } else { self.dues.step(now) };
        let look = now + if ended { HASTE_MILLIS } else { LOOK_MILLIS };
        match step {
            Step::Wait(until) => Some(until.map_or(look, |until| until.min(look))),
            Step::Ask(end) => {
                if !self.asked {
                    self.asked = true;
                    signal_all(Signal::TERM);
                }
                Some(end.min(look))
            }
            Step::End => {
                let since = *self.killing.get_or_insert(now);
                self.kill();
                (now < since + REST_MILLIS).then_some(now + HASTE_MILLIS)
            }
        }
    }

    fn kill(&self) {
        let killed = self.cgroup.as_ref().is_some_and(|cgroup| cgroup.kill().is_ok());
        // Who has left the cgroup, which takes rights, is still below.
        if !killed || self.killing.is_some_and(|since| now() > since) {
            signal_all(Signal::KILL);
        }
    }

    fn wait(&self, until: Moment) -> io::Result<()> {
        let mut fds = Vec::new();
        self.talk.watch(&mut fds);
        self.pipes.watch(&mut fds);
        fds.extend(self.watch.iter().map(|watch| PollFd::new(watch, PollFlags::IN)));
        let millis = until.saturating_sub(now());
        let nanos = i64::try_from(millis % 1_000).unwrap_or_default() * 1_000_000;
        let seconds = i64::try_from(millis / 1_000).unwrap_or(i64::MAX);
        match poll(&mut fds, Some(&Timespec { tv_sec: seconds, tv_nsec: nanos })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    fn exit(&self) -> Exit {
        let why = self.dues.why().map(Exit::because).unwrap_or_default().why;
        let status = self.status.and_then(WaitStatus::exit_status);
        let signal = self.status.and_then(WaitStatus::terminating_signal);
        Exit { status, signal, why }
    }
}

/// Signals all that is below this process.
fn signal_all(signal: Signal) {
    family::signal(&Survey::take().below(getpid()), signal);
}

/// Starts this program once more, which becomes the command.
fn begin(
    order: &Order,
    cgroup: Option<&Cgroup>,
    printing: io::PipeWriter,
    telling: io::PipeWriter,
) -> io::Result<Pid> {
    let (program, words) =
        order.program.split_first().ok_or_else(|| io::Error::other("no program is named"))?;
    let told = Told {
        holder: getpid().as_raw_nonzero().get(),
        input: order.input.clone(),
        printed: order.printed.clone(),
        cgroup: cgroup.map(Cgroup::processes),
        progress: order.progress,
        user: order.user,
        bounds: order.bounds.clone(),
    };
    let variables = order.variables.iter().map(|(name, value)| (name, value.reveal()));
    let stdin = if order.progress { Stdio::from(telling) } else { Stdio::null() };
    let child = Command::new(program)
        .args(words)
        .arg(super::BECOME)
        .arg(serde_json::to_string(&told).map_err(io::Error::other)?)
        .args(&order.command)
        .current_dir(&order.place)
        .env_clear()
        .envs(variables)
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(printing)
        .process_group(0)
        .spawn()?;
    // It is waited for with all others below.
    Ok(Pid::from_child(&child))
}
