//! Applications of others, which take long to fetch and to build.

use std::process::ExitCode;

use crate::{
    machine::{self, CHROMIUM, COMPILER, NODE, POSTGRES, PYTHON, PYTHON_VENV},
    postgres::Postgres,
    process,
    programs::cargo,
};

/// Tells their stories, one after the other.
pub(crate) async fn run() -> anyhow::Result<ExitCode> {
    let python = [&PYTHON, &PYTHON_VENV];
    machine::ensure(&[&[&COMPILER, &NODE, &POSTGRES, &CHROMIUM], &python[..]].concat()).await?;
    let postgres = Postgres::start().await?;
    let mut command = cargo(&["test", "--package", "mandate", "--test", "stories"]);
    command.args(["--", "--test-threads", "1", "--ignored", "applications_from"]);
    machine::tell_pip(&mut command)?;
    postgres.tell(&mut command);
    let status = process::run(command).await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
