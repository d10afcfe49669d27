//! The folders of a replica's starts: that of the one that runs, and of the one before it, which
//! says why it ended.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{folder::remove_folder, hold};

/// One start of a replica.
pub(super) struct Start {
    pub(super) folder: PathBuf,
    /// Which one it was.
    pub(super) number: u32,
}

/// The starts of all replicas.
pub(super) fn all(replicas: &Path) -> Vec<Start> {
    children(replicas).iter().flat_map(|replica| of(replica)).collect()
}

/// The starts of one replica, the first one first.
pub(super) fn of(replica: &Path) -> Vec<Start> {
    let number = |folder: &Path| folder.file_name()?.to_str()?.parse().ok();
    let start = |folder: PathBuf| Some(Start { number: number(&folder)?, folder });
    let mut starts: Vec<Start> = children(replica).into_iter().filter_map(start).collect();
    starts.sort_by_key(|start| start.number);
    starts
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Removes the starts of a replica that have ended, but the last `kept` of them.
pub(super) fn forget(replica: &Path, kept: usize) {
    let ended = of(replica).into_iter().filter(|start| hold::exit(&start.folder).is_some());
    let ended: Vec<Start> = ended.collect();
    let superfluous = ended.len().saturating_sub(kept);
    ended.iter().take(superfluous).for_each(remove);
    // It is in use as long as anything is in it.
    let _ = fs::remove_dir(replica);
}

/// Removes what belongs to a start of which nothing runs. What stays is removed another time.
pub(super) fn remove(start: &Start) {
    let _ = remove_folder(&start.folder);
}
