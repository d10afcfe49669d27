//! A machine's disk: a file system of its own where one can be mounted, which can be filled.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{machine::is_root, process};

/// How large it is. Releases of these services are small.
const SIZE: &str = "256m";
/// What fills it.
const FILLING: &str = "filling";

/// Gone when this is dropped.
pub(super) struct Disk {
    folder: PathBuf,
    /// Whether it is no part of this machine's.
    is_own: bool,
}

impl Disk {
    /// A disk that is found at `folder`: in memory, which root may mount.
    pub(super) async fn at(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        let options = format!("size={SIZE},mode=755");
        mount.args(["-t", "tmpfs", "-o", &options, "mandate-soak"]).arg(folder);
        let is_own = is_root() && process::output(mount).await.is_ok_and(|it| it.status.success());
        Ok(Self { folder: folder.to_owned(), is_own })
    }

    /// Whether it can be filled, and nothing else is.
    pub(super) fn can_be_filled(&self) -> bool {
        self.is_own
    }

    /// Leaves no room.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.folder.join(FILLING))?;
        match io::copy(&mut io::repeat(0), &mut file) {
            Err(cause) if cause.kind() != ErrorKind::StorageFull => Err(cause.into()),
            _ => Ok(()),
        }
    }

    /// There is room again.
    pub(super) fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.folder.join(FILLING))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_own {
            // What still runs there may have it open.
            let _ = Command::new("umount").arg("--lazy").arg(&self.folder).output();
        }
    }
}
