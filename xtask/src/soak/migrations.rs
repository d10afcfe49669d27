//! Instances on their way to another release with their databases, and on the way back, killed after
//! each durable step.

use std::process::ExitCode;

use crate::{
    machine::{self, COMPILER, POSTGRES, PYTHON},
    postgres::Postgres,
    process,
    programs::cargo,
};

/// Tells their stories, one after the other.
pub(crate) async fn run() -> anyhow::Result<ExitCode> {
    machine::ensure(&[&COMPILER, &POSTGRES, &PYTHON]).await?;
    let postgres = Postgres::start().await?;
    let mut command = cargo(&["test", "--package", "mandate", "--test", "crash"]);
    command.args(["--", "--test-threads", "1", "--ignored", "durable_step"]);
    postgres.tell(&mut command);
    let status = process::run(command).await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
