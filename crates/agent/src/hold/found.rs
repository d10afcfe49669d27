//! Finding again what an earlier agent had started.
//!
//! Who a holder is stands in its folder: its pid, when it was started, and at which boot. Only if
//! all of that is still true is it the process that was meant, and not another with its number.
//! Who cannot be talked to is left alone: it may be of a newer version, or stopped for a moment.

use std::{fs, fs::File, io, os::fd::AsRawFd as _, path::Path};

use rustix::process::Pid;
use tokio::net::UnixStream;

use super::{
    launch::{Held, ended},
    wire::{CONTROL, Exit, HOLDER, VERSION},
};
use crate::machine::{self, Seen};

/// What is found in the folder of a command.
pub(crate) enum Found {
    /// It runs; and what its agent had wanted to know again.
    Running(Held, String),
    /// It has ended since.
    Ended(Exit),
    /// It runs, and is left alone.
    Strange,
    /// It never began, or was before the machine was booted last.
    Nothing,
}

/// Looks for the command of a folder.
pub(crate) async fn find(folder: &Path) -> Found {
    let text = fs::read_to_string(folder.join(HOLDER)).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [version, pid, started, boot] = words[..] else { return Found::Nothing };
    if boot != machine::boot() {
        return Found::Nothing;
    }
    let Some(holder) = living(pid, started) else { return Found::Ended(ended(folder).await) };
    let greeted = async {
        if version != VERSION.to_string() {
            return Err(io::Error::other(format!("its holder speaks version {version}")));
        }
        Held::greet(folder, holder, connect(folder)?).await
    };
    match greeted.await {
        Ok((held, kept)) => Found::Running(held, kept),
        // It may have ended while it was asked.
        Err(_) if Exit::read(folder).is_some() || living(pid, started).is_none() => {
            Found::Ended(ended(folder).await)
        }
        Err(cause) => {
            let folder = folder.display();
            tracing::warn!(pid, %folder, %cause, "a process of an earlier agent is left alone");
            Found::Strange
        }
    }
}

fn living(pid: &str, started: &str) -> Option<Seen> {
    let seen = machine::process(Pid::from_raw(pid.parse().ok()?)?)?;
    (started.parse() == Ok(seen.started) && !seen.ended).then_some(seen)
}

/// An address of a socket is short, and a folder's path may be long.
fn connect(folder: &Path) -> io::Result<UnixStream> {
    let folder = File::open(folder)?;
    let path = format!("/proc/self/fd/{}/{CONTROL}", folder.as_raw_fd());
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
