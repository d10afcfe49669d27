//! Ordering a command, and what is known of it while it is held.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Interest, Lines, unix::AsyncFd},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Command,
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use types::Secret;

use super::{
    HOLD, LOG,
    bounds::Bounds,
    cgroup::Cgroup,
    due::{Moment, millis},
    family::{self, Survey},
    wire::{Ask, CGROUP, Exit, HOLDER, Limit, Order, Tell, VERSION, line},
};
use crate::{
    Node,
    folder::write_private,
    machine::{self, Seen},
    users::User,
};

/// How long a holder may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look for a process that cannot be waited for.
const LOOK: Duration = Duration::from_millis(100);
/// How often what a killed holder left is looked for.
const ROUNDS: u32 = 5;

/// What to run, and for how long.
pub(crate) struct Launch<'a> {
    /// How this program is called so that it asks [`hold`](super::hold).
    pub(crate) program: &'a [OsString],
    /// The program and its arguments.
    pub(crate) command: &'a [String],
    /// Where.
    pub(crate) place: &'a Path,
    /// Its whole environment; `TMPDIR` is the folder's own.
    pub(crate) variables: BTreeMap<String, Secret>,
    /// Who it runs as, if not the agent's own user.
    pub(crate) user: Option<User>,
    /// How much it may take.
    pub(crate) bounds: Bounds,
    /// The file for what it prints, if not the folder's own.
    pub(crate) log: Option<PathBuf>,
    /// The file that it reads from, if any.
    pub(crate) input: Option<PathBuf>,
    /// The file for its standard output, if that does not go to the log; it stays small.
    pub(crate) printed: Option<PathBuf>,
    /// Whether it may tell its progress at descriptor 3.
    pub(crate) progress: bool,
    /// Whether it goes on without an agent.
    pub(crate) lasting: bool,
    /// How long it may run.
    pub(crate) limit: Option<Limit>,
    /// Until when its lease holds.
    pub(crate) lease: Option<Moment>,
    /// How long it may take to end.
    pub(crate) grace: Duration,
    /// What the next agent wants to know.
    pub(crate) kept: String,
}

impl<'a> Launch<'a> {
    /// Nothing yet, in this place.
    pub(crate) fn new(node: &'a Node, place: &'a Path) -> Self {
        Self {
            program: &node.program,
            command: &[],
            place,
            variables: BTreeMap::new(),
            user: None,
            bounds: Bounds::default(),
            log: None,
            input: None,
            printed: None,
            progress: false,
            lasting: false,
            limit: None,
            lease: None,
            grace: node.pace.grace,
            kept: String::new(),
        }
    }

    fn order(self, folder: &Path) -> io::Result<Order> {
        let words = self.program.iter().map(|word| word.clone().into_string());
        let program: Result<_, _> = words.collect();
        let unreadable = |_| io::Error::other("the program's name is not UTF-8");
        Ok(Order {
            program: program.map_err(unreadable)?,
            command: self.command.to_vec(),
            place: self.place.to_owned(),
            variables: self.variables,
            user: self.user,
            bounds: self.bounds,
            log: self.log.unwrap_or_else(|| folder.join(LOG)),
            input: self.input,
            printed: self.printed,
            progress: self.progress,
            lasting: self.lasting,
            limit: self.limit,
            lease: self.lease,
            grace_millis: millis(self.grace),
            kept: self.kept,
        })
    }
}

/// Has a command held in `folder`, which is its own and exists. When this returns it has begun, or
/// nothing of it is left. A holder that is not told all, since this agent was killed meanwhile,
/// begins nothing; from before that it can be found.
pub(crate) async fn launch(folder: &Path, launch: Launch<'_>) -> io::Result<Held> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    Exit::make_room(folder)?;
    let (program, words) =
        launch.program.split_first().ok_or_else(|| io::Error::other("no program is named"))?;
    // Its zombie is the runtime's to reap. The folder is named for whoever lists processes.
    let child = Command::new(program)
        .args(words)
        .arg(HOLD)
        .arg(folder)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let seen = pid.and_then(machine::process);
    let holder = seen.ok_or_else(|| io::Error::other("its holder has ended"))?;
    let (pid, started) = (holder.pid.as_raw_nonzero(), holder.started);
    let who = format!("{VERSION} {pid} {started} {}\n", machine::boot());
    write_private(&folder.join(HOLDER), &who)?;
    let mut stream = UnixStream::from_std(ours)?;
    stream.write_all(&line(&Ask::Launch(Box::new(launch.order(folder)?)))?).await?;
    match Held::greet(folder, holder, stream).await {
        Ok((held, _)) => Ok(held),
        Err(cause) => {
            end_of(holder.pid).await;
            sweep(folder).await;
            let why = Exit::read(folder).map(|exit| io::Error::other(exit.in_words()));
            Err(why.unwrap_or(cause))
        }
    }
}

/// A command that is held. Dropped, it goes on if it is lasting.
pub(crate) struct Held {
    holder: Seen,
    say: OwnedWriteHalf,
    state: watch::Receiver<State>,
    reader: JoinHandle<()>,
}

/// What is known of a command that is held.
#[derive(Debug, Clone, Default)]
struct State {
    /// The last line that it wrote of its progress.
    progress: Option<String>,
    exit: Option<Exit>,
}

impl Held {
    /// Hears who a holder is, and what it was to keep.
    pub(super) async fn greet(
        folder: &Path,
        holder: Seen,
        stream: UnixStream,
    ) -> io::Result<(Self, String)> {
        let (hear, say) = stream.into_split();
        let mut lines = BufReader::new(hear).lines();
        let first = timeout(PATIENCE, lines.next_line()).await??;
        let first = first.and_then(|line| serde_json::from_str(&line).ok());
        let kept = match first {
            Some(Tell::Hello { version: VERSION, kept }) => kept,
            Some(Tell::Hello { version, .. }) => {
                return Err(io::Error::other(format!("its holder speaks version {version}")));
            }
            _ => return Err(io::Error::other("its holder does not say who it is")),
        };
        let (sender, state) = watch::channel(State::default());
        let reader = tokio::spawn(listen(lines, folder.to_owned(), holder, sender));
        Ok((Self { holder, say, state, reader }, kept))
    }

    /// Below which process all of it is.
    pub(crate) fn holder(&self) -> Pid {
        self.holder.pid
    }

    /// Waits until nothing of it is left.
    pub(crate) async fn ended(&self) -> Exit {
        match self.state.clone().wait_for(|state| state.exit.is_some()).await {
            Ok(state) => state.exit.clone().unwrap_or_default(),
            Err(_) => Exit::because("is not heard of any more"),
        }
    }

    /// The last line that it wrote of its progress.
    pub(crate) fn progress(&self) -> Option<String> {
        self.state.borrow().progress.clone()
    }

    /// Its lease holds until then.
    pub(crate) fn extend(&self, until: Moment) {
        self.ask(&Ask::Lease(until));
    }

    /// Has it ended within `grace`, and waits for that.
    pub(crate) async fn end(&self, grace: Duration, why: &str) -> Exit {
        self.ask(&Ask::End { grace_millis: millis(grace), why: why.to_owned() });
        self.ended().await
    }

    /// Nobody is waited for: a holder that hears nothing has ended, or has its lease's deadline.
    fn ask(&self, ask: &Ask) {
        let said = line(ask).and_then(|line| self.say.try_write(&line));
        if let Err(cause) = said {
            tracing::debug!(%cause, "a holder does not hear");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Hears what a holder tells, until it is gone.
async fn listen(
    mut lines: Lines<BufReader<OwnedReadHalf>>,
    folder: PathBuf,
    holder: Seen,
    state: watch::Sender<State>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(Tell::Progress(progress)) = serde_json::from_str(&line) {
            state.send_modify(|state| state.progress = Some(progress));
        }
    }
    end_of(holder.pid).await;
    let exit = ended(&folder).await;
    state.send_modify(|state| state.exit = Some(exit));
}

/// How the command of a holder that is gone ended; what is left of it is ended now.
pub(super) async fn ended(folder: &Path) -> Exit {
    if let Some(exit) = Exit::read(folder) {
        return exit;
    }
    sweep(folder).await;
    let exit = Exit::killed_holder();
    if let Err(cause) = exit.write(folder) {
        tracing::warn!(%cause, folder = %folder.display(), "how a command ended is forgotten");
    }
    exit
}

/// Ends what a killed holder left behind.
async fn sweep(folder: &Path) {
    let mark = folder.join("tmp").display().to_string();
    let cgroup = std::fs::read_to_string(folder.join(CGROUP)).ok();
    let cgroup = cgroup.and_then(|path| Cgroup::known(&path));
    for _ in 0..ROUNDS {
        if let Some(cgroup) = &cgroup {
            let _ = cgroup.kill();
        }
        let mark = mark.clone();
        let left = tokio::task::spawn_blocking(move || Survey::take().marked(&mark)).await;
        let left = left.unwrap_or_default();
        family::signal(&left, Signal::KILL);
        for seen in &left {
            end_of(seen.pid).await;
        }
        if left.is_empty() {
            break;
        }
    }
    if let Some(cgroup) = &cgroup {
        cgroup.remove();
    }
}

/// Returns when the process has ended, be it a child or not, waited for or not.
#[expect(
    deprecated,
    reason = "its successor is unsafe for descriptors that may close early; ours cannot"
)]
async fn end_of(pid: Pid) {
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
