//! Applications of others, which take long to fetch and to build.

use std::process::ExitCode;

use crate::{
    machine::{self, COMPILER, NODE, POSTGRES, PYTHON, PYTHON_VENV},
    postgres::Postgres,
    process,
    programs::cargo,
};

/// Tells their stories, one after the other.
pub(crate) async fn run() -> anyhow::Result<ExitCode> {
    machine::ensure(&[&COMPILER, &NODE, &PYTHON, &PYTHON_VENV, &POSTGRES]).await?;
    let postgres = Postgres::start().await?;
    let mut command = cargo(&["test", "--package", "mandate", "--test", "stories"]);
    command.args(["--", "--test-threads", "1", "--ignored", "applications_from"]);
    machine::tell_pip(&mut command)?;
    postgres.tell(&mut command);
    let status = process::run(command).await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
