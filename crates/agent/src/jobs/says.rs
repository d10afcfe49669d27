//! What a job's process says of itself: how far it is, and what it came to. It is believed as far
//! as it is well formed.

use std::{fs, io::Read as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use api::jobs::{Outcome, Progress, RESULT_BYTES_MAX};
use rustix::fs::OFlags;
use serde_json::Value;

use crate::hold::{Exit, Output};

/// A longer note is cut.
const NOTE_CHARS_MAX: usize = 200;

/// A line of progress, `{"percent":40,"note":"…"}`; nothing if it is anything else.
pub(super) fn progress(line: &str, output: &Output) -> Option<Progress> {
    let said: Value = serde_json::from_str(line).ok()?;
    let percent = said.get("percent").and_then(Value::as_f64);
    let percent = percent.map(|percent| percent.clamp(0.0, 100.0));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    let percent = percent.map(|percent| percent as u8);
    let note = said.get("note").and_then(Value::as_str).map(|note| {
        let shown = output.hide(note);
        shown.chars().filter(|c| !c.is_control()).take(NOTE_CHARS_MAX).collect()
    });
    (percent.is_some() || note.is_some()).then_some(Progress { percent, note })
}

/// A JSON file that a process wrote; `None` if it wrote none. Whatever it put there instead of a
/// file, nobody waits for it or is led elsewhere.
pub(super) fn json(path: &Path, most: usize, what: &str) -> Result<Option<Value>, String> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match file {
        Ok(file) if file.metadata().is_ok_and(|about| about.is_file()) => file,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        _ => return Err(format!("{what} is no file")),
    };
    let mut text = Vec::new();
    let read = file.take(most as u64 + 1).read_to_end(&mut text);
    read.map_err(|cause| format!("{what} cannot be read: {cause}"))?;
    if text.len() > most {
        return Err(format!("{what} is longer than {} KiB", most >> 10));
    }
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&text).map(Some).map_err(|fault| format!("{what} is no JSON: {fault}"))
}

/// What a job came to.
pub(super) fn result(path: &Path) -> Result<Option<Value>, String> {
    json(path, RESULT_BYTES_MAX, "the result in `$MANDATE_RESULT_FILE`")
}

/// What the end of a command means: 65 (`EX_DATAERR`) and 78 (`EX_CONFIG`) that no other attempt
/// would succeed, 75 (`EX_TEMPFAIL`) and whatever else that one might.
pub(super) fn outcome(exit: &Exit) -> Outcome {
    match (exit.status, &exit.why) {
        (Some(0), None) => Outcome::Succeeded,
        (Some(65 | 78), None) => Outcome::Refused,
        _ if exit.is_holders_fault() => Outcome::Lost,
        _ => Outcome::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<Progress> {
        progress(line, &Output::default())
    }

    #[test]
    fn progress_is_taken_as_far_as_it_is_understood() {
        let whole = said(r#"{"percent":40,"note":"half of\u0007 it","more":1}"#).unwrap();
        assert_eq!((whole.percent, whole.note.as_deref()), (Some(40), Some("half of it")));
        assert_eq!(said(r#"{"percent":-7}"#).unwrap().percent, Some(0));
        assert_eq!(said(r#"{"percent":1e300,"note":3}"#).unwrap().percent, Some(100));
        let long = said(&format!(r#"{{"note":"{}"}}"#, "é".repeat(300))).unwrap();
        assert_eq!(long.note.unwrap().chars().count(), 200);
        for garbage in ["", "40", "[1]", "{", r#"{"percent":"forty"}"#, "\u{0}\u{1}"] {
            assert_eq!(said(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_status_says_whether_another_attempt_may_succeed() {
        let of = |status| outcome(&Exit { status: Some(status), ..Exit::default() });
        let all = [0, 75, 65, 78, 1, 127].map(of);
        let [done, again, refused] = [Outcome::Succeeded, Outcome::Again, Outcome::Refused];
        assert_eq!(all, [done, again, refused, refused, again, again]);
        assert_eq!(outcome(&Exit { signal: Some(9), ..Exit::default() }), again);
        let late = Exit { status: Some(65), ..Exit::because("was stopped after its limit") };
        assert_eq!(outcome(&late), again);
    }
}
