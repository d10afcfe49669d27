//! Why an agent cannot work at all. What goes wrong with one release, replica or job is told to
//! the platform instead, and tried again.

use std::{io, path::PathBuf};

use api::Problem;

/// Why an agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder cannot be read or written.
    #[error("`{path}` cannot be used: give the agent a folder that it may write to")]
    Folder {
        /// What was tried to be used.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Two agents would tread on each other's toes.
    #[error("another agent uses `{0}`: stop it, or give each agent its own folder")]
    InUse(PathBuf),
    /// A file of its own was changed.
    #[error("`{0}` cannot be understood: restore it, or remove the folder and join anew")]
    Unreadable(PathBuf),
    /// The join token is worth nothing.
    #[error("the platform does not let this node join: ask an operator for a new join token")]
    Refused(#[source] Problem),
}

impl Error {
    /// Wraps what the system said about `path`.
    pub(crate) fn folder(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |cause| Self::Folder { path, cause }
    }
}
