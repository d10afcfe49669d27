//! Ends what a killed agent left behind.
//!
//! Each process has a file, named by its pid, from before its program begins until after its family
//! has ended. The file says when the process was started and at which boot; only if both are still
//! true is it the process that was meant, and not another one that got its number.

use std::{fs, io, path::Path, time::Duration};

use rustix::process::{Pid, Signal};
use tokio::time::Instant;

use crate::{
    family::{self, Family, Survey},
    folder::{remove_file, write_private},
    machine::{self, Seen},
};

/// How often to look whether they have ended.
const LOOK: Duration = Duration::from_millis(50);

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
    let families = remembered(folder);
    let left = || left_of(&families);
    let deadline = Instant::now() + grace;
    let mut there = left();
    for seen in &there {
        tracing::warn!(process = %seen.pid.as_raw_nonzero(), "an earlier agent left it; it is ended");
    }
    family::signal(&there, Signal::TERM);
    while !there.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(LOOK.min(grace)).await;
        there = left();
    }
    let deadline = deadline + grace;
    while !there.is_empty() && Instant::now() < deadline {
        family::signal(&there, Signal::KILL);
        tokio::time::sleep(LOOK.min(grace)).await;
        there = left();
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = remove_file(&entry.path());
    }
}

/// What an earlier agent started since the machine was booted.
fn remembered(folder: &Path) -> Vec<Remembered> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let boot = machine::boot();
    entries.filter_map(|entry| Remembered::read(&entry.path(), &boot)).collect()
}

fn left_of(families: &[Remembered]) -> Vec<Seen> {
    if families.is_empty() {
        return Vec::new();
    }
    let survey = Survey::take();
    let left = |remembered: &Remembered| match machine::process(remembered.family.leader) {
        Some(leader) if leader.started == remembered.started => survey.members(&remembered.family),
        // Its number is not given away while its group has members, but by now it may be the group
        // of a process that came and went since: the mark tells.
        _ => survey.orphans(&remembered.family),
    };
    families.iter().flat_map(left).collect()
}

struct Remembered {
    family: Family,
    started: u64,
}

impl Remembered {
    fn read(path: &Path, boot: &str) -> Option<Self> {
        let leader = path.file_name()?.to_str()?.parse().ok().filter(|number| *number > 0)?;
        let text = fs::read_to_string(path).ok()?;
        let (first, mark) = text.split_once('\n')?;
        let (started, booted) = first.split_once(' ')?;
        let family = Family { leader: Pid::from_raw(leader)?, mark: mark.trim_end().to_owned() };
        (booted == boot).then_some(Self { family, started: started.parse().ok()? })
    }
}
