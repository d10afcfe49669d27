//! A cgroup of the command's own, where one can be made: the kernel then ends all that is in it at
//! once, also what is being started that moment.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A cgroup of version 2 without limits.
#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one below this process's own; `None` where that is not allowed, or there are none.
    pub(super) fn make(name: &str) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let path = mount_of(&mounts)?.join(own).join(name);
        match fs::create_dir(&path) {
            Ok(()) => {}
            // Whoever had this number before has left it.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
        let this = Self(path);
        // A kernel before 5.14 cannot end them: then it is of no use.
        if !this.0.join("cgroup.kill").exists() {
            this.remove();
            return None;
        }
        Some(this)
    }

    /// One that was made.
    pub(super) fn known(path: &str) -> Self {
        Self(path.into())
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

fn mount_of(mounts: &str) -> Option<PathBuf> {
    let mut fields = mounts.lines().map(|line| line.split(' '));
    let is_it = |fields: &std::str::Split<'_, char>| fields.clone().nth(2) == Some("cgroup2");
    fields.find(is_it)?.nth(1).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_version_is_found_beside_the_first() {
        let mounts = "cgroup /sys/fs/cgroup/pids cgroup rw 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_of(mounts), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_of("proc /proc proc rw 0 0\n"), None);
    }
}
