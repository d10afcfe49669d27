//! The session: a file that only its owner can read.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use types::{AccountId, Secret, SessionId, Timestamp, UserId};

use super::{Failure, Outcome, connection::variable, status};

/// A session is far shorter than this, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Who has signed in, where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The platform that gave the token, and the only one that it is sent to.
    pub(crate) url: String,
    /// What it gave.
    pub(crate) token: Secret,
    /// The session's id there.
    #[serde(rename = "session")]
    pub(crate) id: SessionId,
    /// The person.
    pub(crate) user: UserId,
    /// The account they belong to.
    pub(crate) account: Option<AccountId>,
    /// From when on the token is worth nothing.
    pub(crate) expires: Timestamp,
}

/// The folder of what is kept between commands: `MANDATE_HOME`, or `~/.mandate`.
pub(crate) fn home() -> Result<PathBuf, Failure> {
    let named = variable("MANDATE_HOME").map(PathBuf::from);
    let usual = || variable("HOME").map(|home| Path::new(&home).join(".mandate"));
    named.or_else(usual).ok_or_else(|| {
        Failure::new(
            status::USAGE,
            "there is no home folder; set `MANDATE_HOME` to a folder of yours",
        )
    })
}

/// The session that is kept in `home`.
pub(crate) fn read(home: &Path) -> Result<Option<Session>, Failure> {
    let path = file(home);
    let mut text = String::new();
    let opened = fs::File::open(&path);
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => serde_json::from_str(&text).map(Some).map_err(|_| {
            let sentence = format!("`{}` is not a session, and is left aside", path.display());
            Failure::new(status::UNEXPECTED, sentence)
        }),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Failure::cannot(format!("read `{}`", path.display()), &cause)),
    }
}

/// The session that is kept in `home`, if it can be read: what cannot be read keeps nobody from
/// signing in again.
pub(crate) fn kept(home: &Path, silently: bool) -> Option<Session> {
    read(home).unwrap_or_else(|failure| {
        if !silently {
            // That nobody reads it is no reason to fail.
            let _ = writeln!(io::stderr(), "note: {}", failure.sentence());
        }
        None
    })
}

/// Keeps `session` in `home`, in place of the one before.
pub(crate) fn write(home: &Path, session: &Session) -> Outcome {
    let path = file(home);
    replace(home, &path, session)
        .map_err(|cause| Failure::cannot(format!("write `{}`", path.display()), &cause))
}

fn replace(home: &Path, path: &Path, session: &Session) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    let fresh = path.with_extension(format!("new{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
    let text = serde_json::to_string_pretty(session)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&fresh, path));
    written.inspect_err(|_| drop(fs::remove_file(&fresh)))
}

/// Forgets the session.
pub(crate) fn remove(home: &Path) -> Outcome {
    let path = file(home);
    match fs::remove_file(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(Failure::cannot(format!("remove `{}`", path.display()), &cause))
        }
        _ => Ok(()),
    }
}

fn file(home: &Path) -> PathBuf {
    home.join("session.json")
}
