//! The machine as its administrator sees it: processes and ports.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::Path,
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};

/// A port that nobody has, and that nobody is given meanwhile: those of replicas and of connections
/// to elsewhere come from higher ranges.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (begin + step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Sends a signal. A process that has ended meanwhile needs none.
pub(crate) fn signal(pid: u32, which: Signal) {
    if let Some(pid) = Pid::from_raw(i32::try_from(pid).unwrap()) {
        let _ = kill_process(pid, which);
    }
}

/// The processes that were started for the installation in `folder`: their command or environment
/// names it. One that has ended and was not waited for has neither.
pub(crate) fn processes_of(folder: &Path) -> BTreeSet<u32> {
    let names = |pid: &u32, file: &str| {
        let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let wanted = folder.as_os_str().as_encoded_bytes();
        text.windows(wanted.len()).any(|part| part == wanted)
    };
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| names(pid, "environ") || names(pid, "cmdline")).collect()
}

/// Whether a process goes on.
pub(crate) fn alive(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty())
}

/// A variable of a process's environment.
pub(crate) fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let environment = String::from_utf8(environment).ok()?;
    let found = environment.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.map(str::to_owned)
}

/// The processes of the replica in `folder` that listens at `address`.
pub(crate) fn replicas_at(folder: &Path, address: &str) -> BTreeSet<u32> {
    let (_, port) = address.rsplit_once(':').unwrap();
    let mut processes = processes_of(folder);
    processes.retain(|pid| variable(*pid, "PORT").as_deref() == Some(port));
    processes
}
