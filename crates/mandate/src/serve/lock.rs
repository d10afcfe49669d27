//! One process of a name at a time: two would write to the same journal and follow as one.

use std::{fs::File, path::Path};

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};

/// Held for as long as the process lives.
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] File);

/// Takes the name `name` in the installation at `data`.
pub(crate) fn take(data: &Path, name: &str) -> anyhow::Result<Lock> {
    if name.is_empty()
        || name.len() > 100
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        bail!("`{name}` is not a process's name: use letters, digits and `-`");
    }
    let folder = data.join("locks");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let path = folder.join(name);
    let file =
        File::create(&path).with_context(|| format!("`{}` cannot be written", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!(
            "a process called `{name}` runs on `{}` already: stop it, or give this one another `--name` or `--data`",
            data.display()
        );
    }
    Ok(Lock(file))
}
