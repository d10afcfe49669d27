//! A cgroup of the command's own, where one can be made: the kernel then ends all that is in it at
//! once, also what is being started that moment.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::process::getpid;

use super::due::now;

/// What bounds are kept by.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// In a subgroup of this name the agent leaves the group above it to what it runs: no process may be
/// in a group that gives its controllers away.
const AGENT: &str = "agent";
/// How those that are made are called, but for what tells them apart.
const NAME: &str = "mandate-";

/// A cgroup of version 2.
#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one for this process, below its own or beside it; `None` where that is not allowed, or there
    /// are none. No other process of this machine has one of the same name, also none that had its number
    /// before.
    pub(super) fn make() -> Option<Self> {
        let name = format!("{NAME}{}-{}", getpid().as_raw_nonzero(), now());
        let path = above()?.join(name);
        fs::create_dir(&path).ok()?;
        let this = Self(path);
        // A kernel before 5.14 cannot end them: then it is of no use.
        if !this.0.join("cgroup.kill").exists() {
            this.remove();
            return None;
        }
        Some(this)
    }

    /// One that was made. What somebody has not written to its end, on a full disk, names none: not the
    /// folder that this process is in, and not a group that others are in too.
    pub(super) fn known(path: &str) -> Option<Self> {
        let path = Path::new(path);
        let name = path.file_name()?.to_str()?;
        (path.is_absolute() && name.starts_with(NAME)).then(|| Self(path.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The file to which a process writes `0` to be in it.
    pub(super) fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Ends all that is in it.
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.kill"), "1")
    }

    /// Removes it, if nothing is in it any more.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Whether the kernel bounds what is held here: all controllers are given to the groups that are
/// made. They are taken where that is allowed.
pub(crate) fn are_counted() -> bool {
    let Some(above) = above() else { return false };
    let file = above.join("cgroup.subtree_control");
    let wish = CONTROLLERS.map(|name| format!("+{name}")).join(" ");
    let _ = fs::write(&file, wish);
    let given = fs::read_to_string(file).unwrap_or_default();
    CONTROLLERS.iter().all(|name| given.split_whitespace().any(|given| given == *name))
}

/// The cgroup in which others are made.
fn above() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = Path::new(own.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let parent = if own.ends_with(AGENT) { own.parent()? } else { own };
    Some(mount_of(&mounts)?.join(parent))
}

fn mount_of(mounts: &str) -> Option<PathBuf> {
    let mut fields = mounts.lines().map(|line| line.split(' '));
    let is_it = |fields: &std::str::Split<'_, char>| fields.clone().nth(2) == Some("cgroup2");
    fields.find(is_it)?.nth(1).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_to_its_end_names_no_group() {
        for cut in ["", "/", "/sys/fs/cgroup", "/sys/fs/cgroup/mand", "mandate-7-12"] {
            assert!(Cgroup::known(cut).is_none(), "{cut}");
        }
        let whole = "/sys/fs/cgroup/system.slice/mandate-7-12";
        assert_eq!(Cgroup::known(whole).unwrap().path(), Path::new(whole));
    }

    #[test]
    fn the_second_version_is_found_beside_the_first() {
        let mounts = "cgroup /sys/fs/cgroup/pids cgroup rw 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_of(mounts), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_of("proc /proc proc rw 0 0\n"), None);
    }
}
