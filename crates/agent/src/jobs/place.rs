//! A job's folder on the node: what it was told, what it says, and what an earlier agent left.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use api::jobs::Lease;
use tokio::task::JoinSet;

use crate::{
    folder::{remove_folder, write_private},
    hold::{Found, find},
};

/// The file that says which job it is, and under which lease.
const LEASE: &str = "lease";

/// The file to which a job's process writes what it came to.
pub(super) fn result(folder: &Path) -> PathBuf {
    folder.join("result")
}

/// A job of an earlier agent.
pub(super) struct Left {
    pub(super) lease: Lease,
    pub(super) folder: PathBuf,
    /// How it was found: running, or ended.
    pub(super) found: Found,
}

/// Writes down which job a folder is for.
pub(super) fn mark(folder: &Path, lease: &Lease) -> io::Result<()> {
    let text = serde_json::to_string(lease).map_err(io::Error::other)?;
    write_private(&folder.join(LEASE), &text)
}

/// What is left of the jobs that an earlier agent began.
pub(super) async fn all(jobs: &Path) -> Vec<Left> {
    let entries = fs::read_dir(jobs).into_iter().flatten().flatten();
    let mut finding: JoinSet<Option<Left>> = entries.map(|entry| left(entry.path())).collect();
    let mut all = Vec::new();
    while let Some(left) = finding.join_next().await {
        all.extend(left.ok().flatten());
    }
    all
}

async fn left(folder: PathBuf) -> Option<Left> {
    let found = find(&folder).await;
    let text = fs::read_to_string(folder.join(LEASE)).ok();
    let lease = text.and_then(|text| serde_json::from_str(&text).ok());
    match (found, lease) {
        (Found::Strange, _) => None,
        (found @ (Found::Running(..) | Found::Ended(_)), Some(lease)) => {
            Some(Left { lease, folder, found })
        }
        (Found::Running(..), None) => {
            tracing::warn!(folder = %folder.display(), "a job of an earlier agent is left alone");
            None
        }
        _ => {
            remove(&folder);
            None
        }
    }
}

/// Removes what belongs to a job of which nothing runs. What stays is removed by the next start.
pub(super) fn remove(folder: &Path) {
    let _ = remove_folder(folder);
}
