//! Ends what a killed agent left behind.
//!
//! Each process has a file, named by its pid, from before its program begins until after its group
//! has ended. The file says when the process was started and at which boot; only if both are still
//! true is it the process that was meant, and not another one that got its number.

use std::{fs, io, path::Path, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::Instant;

use crate::{
    family::{Family, MARK},
    folder::{remove_file, write_private},
    machine,
    process::end_of,
};

/// Remembers a command by its first process, which was just started.
pub(crate) fn remember(folder: &Path, family: &Family) -> io::Result<()> {
    let Family { leader, mark } = family;
    let started = machine::process(*leader).map_or(0, |seen| seen.started);
    let text = format!("{started} {}\n{mark}\n", machine::boot());
    write_private(&folder.join(leader.as_raw_nonzero().to_string()), &text)
}

/// Forgets a process whose group has ended.
pub(crate) fn forget(folder: &Path, pid: Pid) {
    if let Err(cause) = remove_file(&folder.join(pid.as_raw_nonzero().to_string())) {
        tracing::warn!(%cause, "a process that has ended cannot be forgotten");
    }
}

/// Ends every process that is remembered in `folder`, and forgets it: first by asking, after
/// `grace` without.
pub(crate) async fn end(folder: &Path, grace: Duration) {
    let orphans = remembered(folder);
    for group in &orphans {
        let _ = kill_process_group(*group, Signal::TERM);
    }
    let deadline = Instant::now() + grace;
    for group in &orphans {
        let _ = tokio::time::timeout_at(deadline, end_of(*group)).await;
        let _ = kill_process_group(*group, Signal::KILL);
        let _ = tokio::time::timeout(grace, end_of(*group)).await;
        tracing::warn!(process = %group.as_raw_nonzero(), "ended what an earlier agent had left");
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = remove_file(&entry.path());
    }
}

/// The process groups that an earlier agent started and that still have members.
fn remembered(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let boot = machine::boot();
    entries.filter_map(|entry| is_left(&entry.path(), &boot)).collect()
}

fn is_left(path: &Path, boot: &str) -> Option<Pid> {
    let pid = Pid::from_raw(path.file_name()?.to_str()?.parse().ok()?)?;
    let text = fs::read_to_string(path).ok()?;
    let (first, mark) = text.split_once('\n')?;
    let (started, booted) = first.split_once(' ')?;
    if booted != boot {
        return None;
    }
    if let Some(seen) = machine::process(pid) {
        return (seen.started.to_string() == started && seen.group == pid).then_some(pid);
    }
    // The group's number is not given to another process while it has members, but by now it may
    // be the group of a process that came and went since: the mark tells.
    let mine = |seen: &machine::Seen| {
        seen.group == pid && machine::variable(seen.pid, MARK).as_deref() == Some(mark.trim_end())
    };
    machine::processes().iter().any(mine).then_some(pid)
}
