//! The file for what a command prints, which does not grow.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::folder::remove_file;

/// A log file is set aside when it is as large, and the one before it is forgotten.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a log file is set aside.
pub(super) fn former(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// Removes a log file, with the one that was set aside.
pub(crate) fn remove_log(path: &Path) -> io::Result<()> {
    remove_file(path).and_then(|()| remove_file(&former(path)))
}

/// A file that is set aside when it is large. A command never waits for it: what cannot be written,
/// as on a full disk, is forgotten.
pub(super) struct LogFile {
    path: PathBuf,
    file: Option<fs::File>,
    size: u64,
}

impl LogFile {
    pub(super) fn open(path: PathBuf) -> Self {
        let options = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = options.ok();
        let about = file.as_ref().and_then(|file| file.metadata().ok());
        Self { path, file, size: about.map_or(0, |about| about.len()) }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.size > FILE_BYTES_MAX {
            // If it cannot be set aside it is begun anew: it must not grow.
            if fs::rename(&self.path, former(&self.path)).is_err() {
                let _ = fs::remove_file(&self.path);
            }
            *self = Self::open(self.path.clone());
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.size += bytes.len() as u64;
        }
    }
}
