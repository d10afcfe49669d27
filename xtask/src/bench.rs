//! `./x bench NAME`: programs that measure, built for release, beside a PostgreSQL of
//! their own.

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
}

impl Name {
    const fn word(self) -> &'static str {
        match self {
            Self::Ground => "ground",
            Self::Heartbeats => "heartbeats",
            Self::SignIn => "sign-in",
        }
    }
}

/// Runs the program, with this machine's packages installed where they are missing.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    machine::ensure(&[&machine::COMPILER, &machine::POSTGRES]).await?;
    let postgres = Postgres::start().await?;
    let name = options.name.word();
    let mut command = cargo(&["bench", "--package", "mandate", "--bench", "ground", "--", name]);
    postgres.tell(&mut command);
    let status = process::run(command).await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
