//! Which numbers are which agent's on one machine: two agents that are root there must not give the
//! same ones, also while one of them does not run.
//!
//! That stands in one file, by which all of them go. An entry counts as long as the agent's folder
//! says the same, so whoever removes a folder or moves it has nothing else to do.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::folder::{private_folder, read_text, write_lasting};

/// The ranges of a machine, which nobody else looks at while this value lives.
pub(super) struct Ranges {
    file: PathBuf,
    /// By the first number, the folder of the agent that has them.
    of: BTreeMap<u32, PathBuf>,
    _lock: File,
}

impl Ranges {
    /// Those in a file, which is made if it is not there; `first_of` says which one an agent's folder
    /// names.
    pub(super) fn open(file: &Path, first_of: impl Fn(&Path) -> Option<u32>) -> io::Result<Self> {
        file.parent().map_or(Ok(()), private_folder)?;
        let lock = File::create(file.with_extension("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let text = read_text(file)?.unwrap_or_default();
        // A machine that failed may have left half a file: who runs here takes theirs again.
        let mut of: BTreeMap<u32, PathBuf> = serde_json::from_str(&text).unwrap_or_default();
        of.retain(|first, folder| first_of(folder) == Some(*first));
        Ok(Self { file: file.to_owned(), of, _lock: lock })
    }

    /// Whether a range is nobody's.
    pub(super) fn is_free(&self, first: u32) -> bool {
        !self.of.contains_key(&first)
    }

    /// Makes a range the one of the agent at `root`, unless it is another's.
    pub(super) fn take(&mut self, first: u32, root: &Path) -> io::Result<()> {
        match self.of.get(&first) {
            Some(own) if own == root => return Ok(()),
            Some(other) if !is_same(other, root) => {
                let other = other.display();
                return Err(io::Error::other(format!(
                    "its users, from {first} on, are those of the agent at `{other}` as well: \
                     remove the folder of one of the two, and let that one join as a new node"
                )));
            }
            _ => {}
        }
        self.of.insert(first, root.to_owned());
        let text = serde_json::to_string_pretty(&self.of).map_err(io::Error::other)?;
        write_lasting(&self.file, &text)
    }
}

/// Whether two paths lead to one folder.
fn is_same(one: &Path, other: &Path) -> bool {
    let found = |path: &Path| fs::canonicalize(path).ok();
    found(one).is_some_and(|one| Some(one) == found(other))
}
