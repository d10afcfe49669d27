//! Passwords: from the environment, from standard input, or typed without being shown; never from
//! an argument, which every process of the machine can read.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use clap::Args;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use types::Secret;

use super::{Failure, connection::variable, status};

/// Nobody types more than this, in bytes.
const LINE_BYTES_MAX: u64 = 4 << 10;
/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// Where a password comes from.
#[derive(Debug, Args)]
pub(crate) struct PasswordSource {
    /// Read the password from the first line of standard input instead of `MANDATE_PASSWORD` or
    /// a prompt
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordSource {
    /// A password that is known.
    pub(crate) fn known(&self) -> Result<Secret, Failure> {
        self.given()?.map_or_else(|| prompt("Password"), Ok)
    }

    /// A password that is chosen now: who types it, types it twice.
    pub(crate) fn chosen(&self) -> Result<Secret, Failure> {
        self.given()?.map_or_else(typed_twice, Ok)
    }

    /// The password in the place of one that is known: `MANDATE_NEW_PASSWORD`, the next line of
    /// standard input, or typed twice.
    pub(crate) fn fresh(&self) -> Result<Secret, Failure> {
        match variable("MANDATE_NEW_PASSWORD") {
            _ if self.password_stdin => line(),
            Some(given) => Ok(Secret::new(given)),
            None => typed_twice(),
        }
    }

    fn given(&self) -> Result<Option<Secret>, Failure> {
        if self.password_stdin {
            return line().map(Some);
        }
        Ok(variable("MANDATE_PASSWORD").map(Secret::new))
    }
}

fn typed_twice() -> Result<Secret, Failure> {
    let password = prompt("New password (10 to 200 characters)")?;
    if prompt("The same again")? == password {
        Ok(password)
    } else {
        Err(Failure::new(status::USAGE, "the two passwords differ; try again"))
    }
}

/// Asks the person at the terminal for `what`, without showing what is typed. Where standard input
/// is no terminal this is an error.
fn prompt(what: &str) -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        let sentence = format!("there is no terminal on which to ask for: {what}");
        let hint =
            "set `MANDATE_PASSWORD`, or pass `--password-stdin` and write it to standard input";
        return Err(Failure::new(status::USAGE, sentence).hint(hint));
    }
    let unseen = Unseen::begin().map_err(|cause| Failure::cannot("use the terminal", &cause))?;
    let mut terminal = io::stderr();
    // If the question cannot be shown, the answer can still be typed.
    let _ = write!(terminal, "{what}: ").and_then(|()| terminal.flush());
    let typed = line();
    drop(unseen);
    let _ = writeln!(terminal);
    typed
}

/// A secret for `what`: typed without being shown, or the next line of standard input.
pub(crate) fn unseen(what: &str) -> Result<Secret, Failure> {
    if io::stdin().is_terminal() { prompt(what) } else { line() }
}

/// The next line of standard input.
fn line() -> Result<Secret, Failure> {
    let bytes = read_line().map_err(|cause| Failure::cannot("read standard input", &cause))?;
    if bytes.contains(&INTERRUPT) {
        return Err(Failure::silent(status::UNEXPECTED));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(status::USAGE, "what standard input gave is not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::new(status::USAGE, "standard input gave an empty line"));
    }
    Ok(Secret::new(text))
}

/// Bytes up to a line's end or to Ctrl-C, which also ends a line; see [`Unseen`].
fn read_line() -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut input = io::stdin().lock().take(LINE_BYTES_MAX);
    loop {
        let part = input.fill_buf()?;
        let end = part.iter().position(|byte| matches!(*byte, b'\n' | INTERRUPT));
        let length = end.map_or(part.len(), |place| place + 1);
        line.extend_from_slice(&part[..length]);
        input.consume(length);
        if end.is_some() || length == 0 {
            return Ok(line);
        }
    }
}

/// While this lives the terminal does not show what is typed. Ctrl-C then ends the line instead of
/// the process, which would leave the terminal mute.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(io::stdin(), OptionalActions::Flush, &modes)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
