//! The history of many jobs, as a test tells it of a few.

use std::process::ExitCode;

use crate::{machine, postgres::Postgres, process, programs::cargo};

/// How long it goes on.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many jobs
    #[arg(long, default_value_t = 50_000)]
    jobs: u32,
}

/// Tells it on both engines, from a program that is built for release.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    machine::ensure(&[&machine::COMPILER, &machine::POSTGRES]).await?;
    let postgres = Postgres::start().await?;
    let mut command = cargo(&["test", "--release", "--package", "mandate", "--test", "components"]);
    command.args(["--", "--test-threads", "1", "jobs::history", "updates::history"]);
    command.env("HISTORY_JOBS", options.jobs.to_string());
    // Each of them five times: once for each way to deal with jobs at an update.
    command.env("UPDATE_JOBS", (options.jobs / 5).to_string());
    postgres.tell(&mut command);
    let status = process::run(command).await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
