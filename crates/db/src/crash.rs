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

/// The file is locked meanwhile, and says `killed` once there is no way back: who takes it away
/// under the lock knows whether this process goes on.
fn count_down(file: &Path) -> io::Result<()> {
    // What was taken away is not made again.
    let mut file = File::options().read(true).write(true).open(file)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let left = text.trim().parse::<u64>().map_err(io::Error::other)?.checked_sub(1);
    file.rewind()?;
    file.set_len(0)?;
    let Some(left) = left else {
        file.write_all(b"killed")?;
        // Nobody can stop this signal, so there is nothing to do about a failure.
        let _ = kill_process(getpid(), Signal::KILL);
        return Ok(());
    };
    file.write_all(left.to_string().as_bytes())
}
