//! `./x bench NAME`: programs that measure, built for release, beside a PostgreSQL of
//! their own.

mod jobs;

use std::process::ExitCode;

use clap::ValueEnum;

use crate::{machine, postgres::Postgres, process, programs::cargo};

/// Measures.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure.
    name: Name,
    #[command(flatten)]
    jobs: jobs::Counts,
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
    /// What a click on a bill costs, with little usage behind it and with much.
    Bills,
    /// How long all instances of a shared service take to another release that needs no migration.
    Rollout,
    /// The queue of jobs, beside those of others: pg-boss, graphile-worker and River.
    Jobs,
}

impl Name {
    /// What the program `ground` calls it.
    const fn of_ground(self) -> Option<&'static str> {
        match self {
            Self::Ground => Some("ground"),
            Self::Heartbeats => Some("heartbeats"),
            Self::SignIn => Some("sign-in"),
            Self::Bills => Some("bills"),
            Self::Rollout => Some("rollout"),
            Self::Jobs => None,
        }
    }
}

/// Runs the program, with this machine's packages installed where they are missing.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    machine::ensure(&[&machine::COMPILER, &machine::POSTGRES]).await?;
    let postgres = Postgres::start().await?;
    let Some(told) = options.name.of_ground() else {
        jobs::run(&postgres, &options.jobs).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut command = cargo(&["bench", "--package", "mandate", "--bench", "ground", "--", told]);
    postgres.tell(&mut command);
    let status = process::run(command).await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
