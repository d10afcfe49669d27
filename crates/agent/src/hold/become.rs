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
    path::PathBuf,
    process::Command,
};

use rustix::{
    fs::{Gid, Mode, Uid, fchown},
    process::{
        Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit, umask,
    },
    thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use crate::users::User;

/// What a shell says of a program that it does not find.
const NOT_FOUND: u8 = 127;
/// A command whose standard output is a file writes no larger one.
const PRINTED_BYTES_MAX: u64 = 16 << 20;
/// Where a command may tell its progress.
const PROGRESS: i32 = 3;

/// What is told before the words of the command.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    /// The holder's number.
    pub(super) holder: i32,
    /// What the command reads from, if anything.
    pub(super) input: Option<PathBuf>,
    /// The file for its standard output, if any.
    pub(super) printed: Option<PathBuf>,
    /// The cgroup's list of processes, if there is a cgroup.
    pub(super) cgroup: Option<PathBuf>,
    /// Whether standard input is the pipe for progress.
    pub(super) progress: bool,
    /// Who it is to be, if not who it is.
    pub(super) user: Option<User>,
    /// How much it may take.
    pub(super) bounds: Bounds,
}

/// Becomes the command.
pub(super) fn main(words: Vec<OsString>) -> u8 {
    let Err(cause) = become_command(&words);
    let program = words.get(1).map(|word| word.to_string_lossy().into_owned());
    let why = format!("`{}` cannot be started: {cause}\n", program.unwrap_or_default());
    // If nobody hears it, its status tells.
    let _ = io::stderr().write_all(why.as_bytes());
    NOT_FOUND
}

fn become_command(words: &[OsString]) -> io::Result<std::convert::Infallible> {
    let [told, program, arguments @ ..] = words else {
        return Err(io::Error::other("a command has at least one word"));
    };
    let told: Told = serde_json::from_slice(told.as_encoded_bytes()).map_err(io::Error::from)?;
    die_with(told.holder)?;
    if let Some(cgroup) = &told.cgroup {
        // Without it the tree is found by descent.
        let _ = fs::write(cgroup, "0");
    }
    // A core file would hold what the process knows.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    told.bounds.of_this(told.user.is_some())?;
    if told.progress {
        let pipe = rustix::io::dup(io::stdin())?;
        if pipe.as_raw_fd() != PROGRESS {
            return Err(io::Error::other("descriptor 3 is taken"));
        }
        let _ = pipe.into_raw_fd();
    }
    let input = told.input.as_deref().unwrap_or("/dev/null".as_ref());
    rustix::stdio::dup2_stdin(File::open(input)?)?;
    match &told.printed {
        None => rustix::stdio::dup2_stdout(io::stderr())?,
        Some(printed) => {
            let most = Some(PRINTED_BYTES_MAX);
            setrlimit(Resource::Fsize, Rlimit { current: most, maximum: most })?;
            rustix::stdio::dup2_stdout(File::create(printed)?)?;
        }
    }
    umask(Mode::from_raw_mode(0o022));
    if let Some(user) = told.user {
        become_user(user)?;
        // Whoever becomes another is asked again.
        die_with(told.holder)?;
    }
    Err(Command::new(program).args(arguments).exec())
}

/// Ends with its holder. One that died before that has told nobody.
fn die_with(holder: i32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent == Some(holder) { Ok(()) } else { Err(io::Error::other("its holder is gone")) }
}

/// From here on nothing leads back: no group is left, and no program gives more rights.
fn become_user(user: User) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.user), Gid::from_raw(user.group));
    // What opens `/dev/stderr` opens the pipe anew.
    fchown(io::stderr(), Some(uid), Some(gid))?;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(set_no_new_privs(true)?)
}
