//! `./x bench NAME`: programs that measure, built for release, beside a PostgreSQL of
//! their own.

mod peers;

use std::process::ExitCode;

use clap::ValueEnum;

use crate::{machine, postgres::Postgres, process, programs::cargo};

/// Measures.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure.
    name: Name,
}

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// The ground floor: a call inside the house, a request through the gateway, rows per second.
    Ground,
    /// What nodes cost that have nothing new to say, with few instances and with many.
    Heartbeats,
    /// What others notice of two hundred wrong sign-ins at once.
    SignIn,
    /// The queue of jobs, beside those of others: pg-boss, graphile-worker and River.
    Jobs,
}

impl Name {
    /// The program that measures, and what it is told.
    const fn program(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Ground => ("ground", &["ground"]),
            Self::Heartbeats => ("ground", &["heartbeats"]),
            Self::SignIn => ("ground", &["sign-in"]),
            Self::Jobs => ("jobs", &[]),
        }
    }
}

/// Runs the program, with this machine's packages installed where they are missing.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    machine::ensure(&[&machine::COMPILER, &machine::POSTGRES]).await?;
    let postgres = Postgres::start().await?;
    let (program, told) = options.name.program();
    let mut command = cargo(&["bench", "--package", "mandate", "--bench", program, "--"]);
    command.args(told);
    postgres.tell(&mut command);
    let status = process::run(command).await?;
    if matches!(options.name, Name::Jobs) {
        peers::run(&postgres).await?;
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
