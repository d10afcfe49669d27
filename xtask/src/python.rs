//! Virtual environments of Python, with what some file requires.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{machine, process::succeeds};

/// The Python of an environment with what the last of these files requires; made anew when one of them
/// has changed.
pub(crate) async fn environment(
    folder: &str,
    requirements: &[impl AsRef<Path>],
) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let python = folder.join("bin/python");
    let mut wanted = String::new();
    for path in requirements {
        let path = path.as_ref();
        wanted += &std::fs::read_to_string(path)
            .with_context(|| format!("`{}` cannot be read", path.display()))?;
    }
    let stamp = folder.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    let last = requirements.last().context("nothing is required")?.as_ref();
    succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).await?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    machine::tell_pip(&mut pip)?;
    succeeds(pip.arg(last)).await?;
    // Last, so that an environment that was half made is made again.
    std::fs::write(stamp, wanted)?;
    Ok(python)
}
