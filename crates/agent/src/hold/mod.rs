//! One command with all that it starts, held by a small process of its own that outlives the agent.
//!
//! The agent orders ([`launch`]), the holder does ([`holder`]): it is the command's parent and the
//! next of kin of everything below it, keeps what is printed and how the command ended, and ends
//! the whole tree when it is asked to, at the lease's deadline or at the limit. Whoever is the agent
//! by then finds it again ([`found`]) by what stands in its folder, and talks to it over a socket
//! there. A holder's death ends its command; what is left below is swept by the agent.
//!
//! A holder is this program once more, and so is the moment between it and the command
//! ([`become`]): what must be true of a process before its program begins, it does to itself.

mod r#become;
mod bounds;
mod cgroup;
mod due;
mod family;
mod found;
mod holder;
mod launch;
mod log;
mod output;
mod pipes;
mod reading;
mod talk;
mod wire;

pub(crate) use bounds::Bounds;
pub(crate) use cgroup::are_counted;
pub(crate) use due::{Moment, now};
pub(crate) use family::Surveys;
pub(crate) use found::{Found, find};
pub(crate) use launch::{Held, Launch, launch};
pub(crate) use log::remove_log;
pub(crate) use output::{Output, last_bytes};
pub(crate) use wire::{Exit, Limit};

use std::{ffi::OsString, io, path::Path};

/// The file for what the command prints; it is set aside as `output.log.1` when it is large.
pub(crate) const LOG: &str = "output.log";

/// The words that make this program a holder, or what becomes a command.
const HOLD: &str = "hold";
const BECOME: &str = "become";

/// How the command of a folder ended, if it has.
pub(crate) fn exit(folder: &Path) -> Option<Exit> {
    Exit::read(folder)
}

/// Writes down that the command of a folder never began, and why.
pub(crate) fn record(folder: &Path, why: &str) -> io::Result<()> {
    Exit::make_room(folder)?;
    Exit::because(why).write(folder)
}

/// Holds a command, or becomes one, if that is what a word asks for.
pub(crate) fn hold(word: &str, rest: Vec<OsString>) -> Option<u8> {
    match word {
        HOLD => Some(holder::main()),
        BECOME => Some(r#become::main(rest)),
        _ => None,
    }
}
