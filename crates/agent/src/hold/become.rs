//! The moment between a holder and its command: what must be true of a process before its program
//! begins, it does to itself.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::{AsRawFd as _, IntoRawFd as _},
        unix::process::CommandExt as _,
    },
    process::Command,
};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit,
};

/// What a shell says of a program that it does not find.
const NOT_FOUND: u8 = 127;
/// A command whose standard output is a file writes no larger one.
const PRINTED_BYTES_MAX: u64 = 16 << 20;
/// Where a command may tell its progress.
const PROGRESS: i32 = 3;

/// What is told before the words of the command.
pub(super) struct Told {
    /// The holder.
    pub(super) holder: Pid,
    /// What the command reads from; nothing if it is empty.
    pub(super) input: OsString,
    /// The file for its standard output; none if it is empty.
    pub(super) printed: OsString,
    /// The cgroup's list of processes; none if it is empty.
    pub(super) cgroup: OsString,
    /// Whether standard input is the pipe for progress.
    pub(super) progress: bool,
}

impl Told {
    /// In the order in which [`main`] reads them.
    pub(super) fn words(self) -> [OsString; 5] {
        let progress = if self.progress { "progress" } else { "" };
        let holder = self.holder.as_raw_nonzero().to_string();
        [holder.into(), self.input, self.printed, self.cgroup, progress.into()]
    }
}

/// Becomes the command.
pub(super) fn main(words: Vec<OsString>) -> u8 {
    let Err(cause) = become_command(&words);
    let program = words.get(5).map(|word| word.to_string_lossy().into_owned());
    let why = format!("`{}` cannot be started: {cause}\n", program.unwrap_or_default());
    // If nobody hears it, its status tells.
    let _ = io::stderr().write_all(why.as_bytes());
    NOT_FOUND
}

fn become_command(words: &[OsString]) -> io::Result<std::convert::Infallible> {
    let [holder, input, printed, cgroup, progress, program, arguments @ ..] = words else {
        return Err(io::Error::other("a command has at least one word"));
    };
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A holder that died before that has told nobody.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if parent.as_deref() != holder.to_str() {
        return Err(io::Error::other("its holder is gone"));
    }
    if !cgroup.is_empty() {
        // Without it the tree is found by descent.
        let _ = fs::write(cgroup, "0");
    }
    // A core file would hold what the process knows.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    if !progress.is_empty() {
        let pipe = rustix::io::dup(io::stdin())?;
        if pipe.as_raw_fd() != PROGRESS {
            return Err(io::Error::other("descriptor 3 is taken"));
        }
        let _ = pipe.into_raw_fd();
    }
    let input = if input.is_empty() { "/dev/null".as_ref() } else { input.as_os_str() };
    rustix::stdio::dup2_stdin(File::open(input)?)?;
    if printed.is_empty() {
        rustix::stdio::dup2_stdout(io::stderr())?;
    } else {
        let most = Some(PRINTED_BYTES_MAX);
        setrlimit(Resource::Fsize, Rlimit { current: most, maximum: most })?;
        rustix::stdio::dup2_stdout(File::create(printed)?)?;
    }
    Err(Command::new(program).args(arguments).exec())
}
