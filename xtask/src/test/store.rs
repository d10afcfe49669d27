//! The store's own tests: Python, in a virtual environment that has what the store needs.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::tally::{Pytest, Tally};
use crate::{postgres::Postgres, process, python};

/// Where the virtual environment is kept.
const ENVIRONMENT: &str = "target/xtask/store-venv";

/// Runs them on both engines; what they printed is added to `printed`.
pub(crate) async fn tests(
    folder: &Path,
    postgres: &Postgres,
    printed: &mut String,
) -> anyhow::Result<Tally> {
    // The second names the first.
    let requirements = ["requirements.txt", "tests/requirements.txt"].map(|name| folder.join(name));
    let python = python::environment(ENVIRONMENT, &requirements).await?;
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
