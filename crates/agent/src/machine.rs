//! What the kernel tells of processes: `/proc`.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::Read as _,
    ops::{Range, RangeInclusive},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use api::releases::Machine;
use rustix::process::Pid;

/// No file of `/proc` is read further.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// No process is looked for further above another.
const DEPTH_MAX: usize = 64;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: Pid,
    /// Its process group.
    pub(crate) group: Pid,
    /// Its session, and whose child it is; `None` if that is the kernel's.
    pub(crate) session: Option<Pid>,
    pub(crate) parent: Option<Pid>,
    /// When it was started, in the kernel's ticks since it was booted. Together with the pid this
    /// names a process for good, until the next boot.
    pub(crate) started: u64,
    /// It has ended and nobody has asked how.
    pub(crate) ended: bool,
}

/// The process of this number, if there is one.
pub(crate) fn process(pid: Pid) -> Option<Seen> {
    seen(pid, &fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

fn seen(pid: Pid, stat: &str) -> Option<Seen> {
    // The program's name stands in brackets and may hold anything, so what follows the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // One that is just vanishing has −1 for a group.
    let number = |place: usize| fields.get(place)?.parse().ok().filter(|n| *n > 0);
    let named = |place: usize| number(place).and_then(Pid::from_raw);
    let (parent, group, session) = (named(1), named(2)?, named(3));
    let started = fields.get(19)?.parse().ok()?;
    let ended = matches!(*fields.first()?, "Z" | "X" | "x");
    Some(Seen { pid, group, session, parent, started, ended })
}

/// All processes.
pub(crate) fn processes() -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pid = |entry: fs::DirEntry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
    entries.flatten().filter_map(pid).filter_map(process).collect()
}

/// What a machine is: of what was not said of it, the memory is the kernel's to tell.
pub(crate) fn measured(said: Machine) -> Machine {
    let memory = said.memory.or_else(|| {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
        kibibytes.checked_mul(1_024)
    });
    Machine { memory, ..said }
}

/// Differs from boot to boot.
pub(crate) fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// The value of the variable with which the process was started.
pub(crate) fn variable(pid: Pid, name: &str) -> Option<String> {
    let file = fs::File::open(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut content).ok()?;
    let mut lines = content.split(|byte| *byte == 0).filter_map(|line| str::from_utf8(line).ok());
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// The ports that the kernel gives to whoever does not mind which.
pub(crate) fn ephemeral_ports() -> Option<RangeInclusive<u16>> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

/// What this process may do that others may not, a bit for each capability.
pub(crate) fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Whether the users of these numbers exist in this process's namespace.
pub(crate) fn maps_users(users: &Range<u32>) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(count))) = (fields.next(), fields.nth(1)) else {
            return false;
        };
        first <= users.start.into() && first + count >= users.end.into()
    })
}

/// The users of all processes.
pub(crate) fn users() -> HashSet<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.uid())).collect()
}

/// The bytes of memory that the processes below each process have for themselves: what is shared
/// with others through files is not counted.
pub(crate) fn memory_below() -> HashMap<Pid, u64> {
    let page = rustix::param::page_size() as u64;
    let processes = processes();
    let parents: HashMap<Pid, Option<Pid>> =
        processes.iter().map(|seen| (seen.pid, seen.parent)).collect();
    let mut below = HashMap::new();
    for seen in &processes {
        let path = format!("/proc/{}/statm", seen.pid.as_raw_nonzero());
        let bytes = own_pages(Path::new(&path)).unwrap_or_default() * page;
        // Who was seen a moment later may be its own ancestor by then.
        let above = std::iter::successors(seen.parent, |pid| *parents.get(pid)?);
        for ancestor in above.take(DEPTH_MAX) {
            *below.entry(ancestor).or_default() += bytes;
        }
    }
    below
}

/// Whether anybody is connected to what listens at `port`.
pub(crate) fn is_connected_to(port: u16) -> bool {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    tables.iter().flatten().any(|table| has_connection(table, port))
}

/// Of a table of connections, as the kernel writes it (proc(5)).
fn has_connection(table: &str, port: u16) -> bool {
    const ESTABLISHED: &str = "01";
    let end = format!(":{port:04X}");
    let mut lines = table.lines().skip(1).map(str::split_ascii_whitespace);
    lines.any(|mut fields| {
        let is_here = fields.nth(1).is_some_and(|local| local.ends_with(&end));
        is_here && fields.nth(1) == Some(ESTABLISHED)
    })
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
    fn who_is_connected_is_seen_until_they_leave() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(address) else { continue };
            let here = listener.local_addr().unwrap();
            assert!(!is_connected_to(here.port()), "listening is not being connected");
            let visitor = std::net::TcpStream::connect(here).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert!(is_connected_to(here.port()));
            drop(visitor);
            drop(accepted);
            assert!(!is_connected_to(here.port()));
        }
    }

    #[test]
    fn this_process_is_seen() {
        let me = process(rustix::process::getpid()).unwrap();
        assert!(me.started > 0 && !me.ended);
        assert!(processes().contains(&me));
        assert!(memory_below()[&me.parent.unwrap()] > 100_000);
        assert!(!boot().is_empty());
        assert_eq!(variable(me.pid, "PATH"), std::env::var("PATH").ok());
    }

    #[test]
    fn a_process_that_is_vanishing_has_no_group() {
        let me = rustix::process::getpid();
        let fields = "0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 52970 0 0";
        let found = seen(me, &format!("9 (a) b) S 8 7 6 {fields}")).unwrap();
        let numbers = [found.parent, Some(found.group), found.session];
        assert_eq!(numbers.map(|pid| pid.unwrap().as_raw_nonzero().get()), [8, 7, 6]);
        assert_eq!(found.started, 52_970);
        assert_eq!(seen(me, &format!("9 (a) X 0 -1 -1 {fields}")), None);
    }
}
