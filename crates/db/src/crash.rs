//! Ending the process after a durable step, for tests of what a crash leaves behind.
//!
//! If `MANDATE_CRASH_FILE` names a file when the process starts, the number in that file is how
//! many durable steps it has left: once the file is there, each commit takes one, and the one that
//! finds none left is followed by SIGKILL, as if the machine had been pulled from under it. No
//! ordinary start sets the variable, and without it a step costs one load.

use std::{path::PathBuf, sync::OnceLock};

use rustix::process::{Signal, getpid, kill_process};

static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Something was made durable.
pub(crate) fn step() {
    let file = FILE.get_or_init(|| std::env::var_os("MANDATE_CRASH_FILE").map(PathBuf::from));
    if let Some(file) = file {
        count_down(file);
    }
}

fn count_down(file: &std::path::Path) {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let left = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u64>().ok());
    match left {
        None => {}
        Some(0) => {
            // Nobody can stop this signal, so there is nothing to do about a failure.
            let _ = kill_process(getpid(), Signal::KILL);
        }
        Some(left) => {
            // A count that cannot be written ends the test, by never coming to its end.
            let _ = std::fs::write(file, (left - 1).to_string());
        }
    }
}
