//! What the kernel tells of processes: `/proc`.

use std::{collections::HashMap, fs, io::Read as _, path::Path};

use rustix::process::Pid;

/// No file of `/proc` is read further.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: Pid,
    /// Its process group.
    pub(crate) group: Pid,
    /// When it was started, in the kernel's ticks since it was booted. Together with the pid this
    /// names a process for good, until the next boot.
    pub(crate) started: u64,
    /// It has ended and nobody has asked how.
    pub(crate) ended: bool,
}

/// The process of this number, if there is one.
pub(crate) fn process(pid: Pid) -> Option<Seen> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The program's name stands in brackets and may hold anything, so what follows the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let group = fields.get(2)?.parse().ok().and_then(Pid::from_raw)?;
    let started = fields.get(19)?.parse().ok()?;
    let ended = matches!(*fields.first()?, "Z" | "X" | "x");
    Some(Seen { pid, group, started, ended })
}

/// All processes.
pub(crate) fn processes() -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pid = |entry: fs::DirEntry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
    entries.flatten().filter_map(pid).filter_map(process).collect()
}

/// Differs from boot to boot.
pub(crate) fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// Whether the process was started with this variable, `NAME=value`.
pub(crate) fn has_variable(pid: Pid, variable: &str) -> bool {
    let path = format!("/proc/{}/environ", pid.as_raw_nonzero());
    let Ok(file) = fs::File::open(path) else { return false };
    let mut content = Vec::new();
    let read = file.take(FILE_BYTES_MAX).read_to_end(&mut content);
    read.is_ok() && content.split(|byte| *byte == 0).any(|found| found == variable.as_bytes())
}

/// The bytes of memory that each process group has for itself: what is shared with other groups
/// through files is not counted.
pub(crate) fn memory_by_group() -> HashMap<Pid, u64> {
    let page = rustix::param::page_size() as u64;
    let mut groups = HashMap::new();
    for seen in processes() {
        let path = format!("/proc/{}/statm", seen.pid.as_raw_nonzero());
        let pages = own_pages(Path::new(&path)).unwrap_or_default();
        *groups.entry(seen.group).or_default() += pages * page;
    }
    groups
}

fn own_pages(statm: &Path) -> Option<u64> {
    let text = fs::read_to_string(statm).ok()?;
    let mut fields = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let me = process(rustix::process::getpid()).unwrap();
        assert!(me.started > 0 && !me.ended);
        assert!(processes().contains(&me));
        assert!(memory_by_group()[&me.group] > 100_000);
        assert!(!boot().is_empty());
    }
}
