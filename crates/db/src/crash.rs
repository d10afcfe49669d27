//! Ending the process after a durable step, for tests of what a crash leaves behind.
//!
//! If `MANDATE_CRASH_FILE` names a file when the process starts, the number in that file is how
//! many durable steps it has left: once the file is there, each commit takes one, and the one that
//! finds none left is followed by SIGKILL, as if the machine had been pulled from under it. No
//! ordinary start sets the variable, and without it a step costs one load.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::process::{Signal, getpid, kill_process};

static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Something was made durable.
pub(crate) fn step() {
    let file = FILE.get_or_init(|| std::env::var_os("MANDATE_CRASH_FILE").map(PathBuf::from));
    if let Some(file) = file {
        // Without a file nothing is counted. A count that cannot be written ends the test, by never
        // coming to its end.
        let _ = count_down(file);
    }
}

fn count_down(path: &Path) -> io::Result<()> {
    // What was taken away is not made again.
    if is_last(open(path)?)? {
        // Nobody can stop this signal, so there is nothing to do about a failure.
        let _ = kill_process(getpid(), Signal::KILL);
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

/// Takes a step. The file is locked meanwhile, and says `killed` once there is no way back: who
/// takes it away under the lock knows whether this process goes on.
fn is_last(mut file: File) -> io::Result<bool> {
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let left = text.trim().parse::<u64>().map_err(io::Error::other)?.checked_sub(1);
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(left.map_or("killed".to_owned(), |left| left.to_string()).as_bytes())?;
    Ok(left.is_none())
}

/// From now on the process that was started with this file has so many durable steps left.
///
/// # Errors
///
/// If the file cannot be written.
#[cfg(any(test, feature = "testing"))]
pub fn kill_after(path: &Path, steps: u64) -> io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, steps.to_string())?;
    std::fs::rename(fresh, path)
}

/// No step is counted any more; answers whether the process has taken its last one.
///
/// # Errors
///
/// If the file cannot be read or taken away.
#[cfg(any(test, feature = "testing"))]
pub fn kill_never(path: &Path) -> io::Result<bool> {
    let mut file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // Who has opened it and waits for the lock finds no count in it.
    file.set_len(0)?;
    std::fs::remove_file(path)?;
    Ok(text == "killed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("mandate-steps-{}-{name}", std::process::id()))
    }

    #[test]
    fn the_step_after_those_that_were_left_is_the_last() {
        let path = path("last");
        kill_after(&path, 1).unwrap();
        assert!(!is_last(open(&path).unwrap()).unwrap());
        assert!(is_last(open(&path).unwrap()).unwrap());
        assert!(kill_never(&path).unwrap());
        assert!(!kill_never(&path).unwrap());
        assert!(open(&path).is_err());
    }

    #[test]
    fn who_waited_while_the_count_was_taken_away_takes_no_last_step() {
        let path = path("waited");
        kill_after(&path, 0).unwrap();
        let waits = open(&path).unwrap();
        assert!(!kill_never(&path).unwrap());
        assert!(is_last(waits).is_err());
    }
}
