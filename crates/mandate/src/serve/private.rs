//! The data folder, when others run on the machine: they may pass on the way to what the agent gave
//! them, and read nothing else.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use rustix::{fs::Mode, process::umask};

/// What others are let through for: what is in them is private by itself.
const WAYS: [&str; 2] = ["agent", "databases"];
/// To pass, and no more.
const WAY: u32 = 0o711;

/// Keeps what is in the data folder, and what will be, from everybody else.
pub(crate) fn keep(data: &Path) -> anyhow::Result<()> {
    umask(Mode::from_raw_mode(0o077));
    close(data).with_context(|| format!("`{}` cannot be kept from others", data.display()))
}

fn close(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let is_way = entry.file_name().to_str().is_some_and(|name| WAYS.contains(&name));
        if is_way || entry.file_type()?.is_symlink() {
            continue;
        }
        let mode = entry.metadata()?.permissions().mode();
        fs::set_permissions(entry.path(), Permissions::from_mode(mode & 0o700))?;
    }
    fs::set_permissions(data, Permissions::from_mode(WAY))
}
