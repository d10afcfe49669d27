//! The store's own tests: Python, in a virtual environment that has what the store needs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use super::tally::{Pytest, Tally};
use crate::{machine, postgres::Postgres, process};

/// Where the virtual environment is kept.
const ENVIRONMENT: &str = "target/xtask/store-venv";

/// Runs them on both engines; what they printed is added to `printed`.
pub(crate) async fn tests(
    folder: &Path,
    postgres: &Postgres,
    printed: &mut String,
) -> anyhow::Result<Tally> {
    let python = environment(folder).await?;
    let mut command = Command::new(python);
    command.args(["-u", "-B", "-m", "pytest", "-v"]).current_dir(folder);
    postgres.tell(&mut command);
    command.stdout(Stdio::piped());
    let mut pytest = Pytest::default();
    let status = process::listen(command, |line| {
        pytest.read(line.trim_end());
        printed.extend([line, "\n"]);
    });
    let status = status.await?;
    Ok(pytest.tally(status.success()))
}

/// The Python of an environment with what is required, made anew when that has changed.
async fn environment(store: &Path) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(ENVIRONMENT)?;
    let python = folder.join("bin/python");
    // The second names the first.
    let requirements = ["requirements.txt", "tests/requirements.txt"].map(|name| store.join(name));
    let mut wanted = String::new();
    for path in &requirements {
        wanted += &std::fs::read_to_string(path)
            .with_context(|| format!("`{}` cannot be read", path.display()))?;
    }
    let stamp = folder.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    let mut venv = Command::new("python3");
    run(venv.args(["-m", "venv", "--clear"]).arg(&folder)).await?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    machine::tell_pip(&mut pip)?;
    run(pip.arg(&requirements[1])).await?;
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
