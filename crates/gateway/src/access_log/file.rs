//! The file of the access log, and those before it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// A file is followed by another when it is this long.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// So many are kept that were followed by others: `NAME.1` is the newest of them.
const KEPT_MAX: u32 = 4;

/// A file that lines are appended to, shared by all threads.
pub(crate) struct Log {
    path: PathBuf,
    most: u64,
    current: Mutex<Current>,
}

struct Current {
    file: File,
    bytes: u64,
    /// Lines are lost, which is said once.
    fails: bool,
}

impl Log {
    /// Opens the log at `path`, whose folder is made if it is not there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with(path, FILE_BYTES_MAX)
    }

    fn with(path: &Path, most: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let (file, bytes) = opened(path)?;
        let current = Mutex::new(Current { file, bytes, fails: false });
        Ok(Self { path: path.to_owned(), most, current })
    }

    /// Appends whole lines. What cannot be written is lost.
    pub(super) fn write(&self, lines: &[u8]) {
        let mut current = self.current.lock().expect("nobody panics while holding it");
        let outcome = self.try_write(&mut current, lines);
        let failed = std::mem::replace(&mut current.fails, outcome.is_err());
        match outcome {
            Err(cause) if !failed => {
                let file = self.path.display();
                tracing::error!(%file, %cause, "the access log cannot be written; lines are lost");
            }
            Ok(()) if failed => tracing::info!("the access log is written again"),
            _ => {}
        }
    }

    fn try_write(&self, current: &mut Current, lines: &[u8]) -> io::Result<()> {
        if current.bytes >= self.most {
            self.follow(current)?;
        }
        if let Err(cause) = current.file.write_all(lines) {
            // A line that was torn would spoil the next one.
            current.file.set_len(current.bytes)?;
            return Err(cause);
        }
        current.bytes += lines.len() as u64;
        Ok(())
    }

    /// Goes on with another file; the oldest goes.
    fn follow(&self, current: &mut Current) -> io::Result<()> {
        for number in (1..KEPT_MAX).rev() {
            let from = self.before(number);
            if from.exists() {
                fs::rename(from, self.before(number + 1))?;
            }
        }
        fs::rename(&self.path, self.before(1))?;
        (current.file, current.bytes) = opened(&self.path)?;
        Ok(())
    }

    fn before(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn opened(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_one_another_and_the_oldest_goes() {
        let folder = std::env::temp_dir().join(format!("gateway-access-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let path = folder.join("a/access.log");
        let log = Log::with(&path, 20).unwrap();
        for number in 10..32 {
            log.write(format!("line {number}\n").repeat(2).as_bytes());
        }
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let twice = |number: u32| format!("line {number}\n").repeat(2);
        let lines = |from| twice(from) + &twice(from + 1);
        assert_eq!(read(&path), lines(30));
        for number in 1..=KEPT_MAX {
            assert_eq!(read(&log.before(number)), lines(30 - 2 * number));
        }
        assert!(!log.before(KEPT_MAX + 1).exists());
        // What an earlier process has written is gone on with.
        drop(log);
        let log = Log::with(&path, 1_000).unwrap();
        log.write(b"more\n");
        assert!(read(&path).ends_with("line 31\nmore\n"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
