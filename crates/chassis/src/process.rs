//! Which process this is, and whether another one is dead for certain.
//!
//! A process is named by its machine since it was started (and the part of it in which process ids
//! count), its id there, and when it began: no two ever share that. On the same machine the kernel
//! says whether it still runs; of another machine nothing can be said.

use std::{fs, sync::OnceLock};

use types::Digest;

/// The name of this process among all there ever were.
pub(crate) fn this() -> &'static str {
    static THIS: OnceLock<String> = OnceLock::new();
    THIS.get_or_init(|| {
        let id = std::process::id();
        let began = began(id).unwrap_or_default();
        // Where the kernel does not say it, a name that nobody else takes.
        let machine = machine().unwrap_or_else(|| crate::random_secret().reveal()[..12].to_owned());
        format!("{machine}.{id}.{began}")
    })
}

/// Whether the process of that name has certainly ended.
pub(crate) fn is_dead(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let [of, id, since] = parts.as_slice() else { return false };
    if machine().is_none_or(|machine| machine != *of) {
        return false;
    }
    id.parse().is_ok_and(|id| began(id).is_none_or(|began| began.to_string() != *since))
}

/// A copy's name, and the process that it is in: `gateway.guard#MACHINE.PROCESS.BEGAN`.
pub(crate) fn of_copy(follower: &str) -> (&str, &str) {
    follower.split_once('#').unwrap_or((follower, ""))
}

/// This machine since its start, as far as its process ids count.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let processes = fs::read_link("/proc/self/ns/pid").ok()?;
    let both = format!("{} {}", boot.trim(), processes.display());
    Some(Digest::of(both.as_bytes()).short().to_owned())
}

/// When the process began, in ticks since the machine's start; `None` if it has ended.
fn began(id: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it may hold anything, parentheses too.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // One that has ended and whom nobody has asked for yet is a `Z` (proc_pid_stat(5)).
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_certainly_ended_is_dead() {
        assert!(!is_dead(this()), "{}", this());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let machine = machine().unwrap();
        let name = format!("{machine}.{}.{}", child.id(), began(child.id()).unwrap());
        assert!(!is_dead(&name));
        assert!(is_dead(&format!("{machine}.{}.1", child.id())), "its id was given again");
        child.kill().unwrap();
        while !is_dead(&name) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(is_dead(&name), "{name}");
        assert!(!is_dead(&name.replace(&machine, "0123456789ab")), "another machine's");
        assert!(!is_dead("") && !is_dead("gateway") && !is_dead("a.b.c"));
    }
}
