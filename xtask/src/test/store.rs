//! The store's own tests: Python, in a virtual environment that has PostgreSQL's driver.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use super::tally::{Tally, Unittest};
use crate::{postgres::Postgres, process};

/// Where the virtual environment is kept.
const ENVIRONMENT: &str = "target/xtask/store-venv";

/// Runs them on both engines.
pub(crate) async fn tests(folder: &Path, postgres: &Postgres) -> anyhow::Result<Tally> {
    let python = environment(&folder.join("requirements.txt")).await?;
    let mut command = Command::new(python);
    command.args(["-B", "-m", "unittest"]).current_dir(folder);
    postgres.tell(&mut command);
    command.stderr(Stdio::piped());
    let mut unittest = Unittest::default();
    let status = process::follow(command, |line| unittest.read(line)).await?;
    Ok(unittest.tally(status.success()))
}

/// The Python of an environment with what is required, made anew when that has changed.
async fn environment(requirements: &Path) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(ENVIRONMENT)?;
    let python = folder.join("bin/python");
    let wanted = std::fs::read_to_string(requirements)
        .with_context(|| format!("`{}` cannot be read", requirements.display()))?;
    let stamp = folder.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    let mut venv = Command::new("python3");
    run(venv.args(["-m", "venv", "--clear"]).arg(&folder)).await?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    run(pip.arg(requirements)).await?;
    // Last, so that an environment that was half made is made again.
    std::fs::write(stamp, wanted)?;
    Ok(python)
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let described = format!("{command:?}");
    let status = process::run(std::mem::replace(command, Command::new("true"))).await?;
    ensure!(status.success(), "`{described}` failed ({status})");
    Ok(())
}
