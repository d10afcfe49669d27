//! `./x bench NAME`: programs that measure, built for release, beside a PostgreSQL of
//! their own.

mod jobs;
mod releases;

use std::process::ExitCode;

use clap::ValueEnum;

use crate::{machine, postgres::Postgres, process, programs::cargo};

/// Measures.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure.
    name: Name,
    /// How many turns `jobs` and `releases` have
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    #[command(flatten)]
    jobs: jobs::Counts,
    /// How many instances move in `releases`
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    instances: u32,
}

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// The ground floor: a call inside the house, a request through the gateway, rows per second.
    Ground,
    /// A request through the gateway, beside nginx and HAProxy, with one host and with many.
    Gateway,
    /// What nodes cost that have nothing new to say, with few instances and with many.
    Heartbeats,
    /// What others notice of two hundred wrong sign-ins at once.
    SignIn,
    /// What a click on a bill costs, with little usage behind it and with much.
    Bills,
    /// How long all instances of a shared service take to another release that needs no migration.
    Rollout,
    /// How long instances take to a release that migrates their databases, beside the bare steps and
    /// django-tenants.
    Releases,
    /// The queue of jobs, beside those of others: pg-boss, graphile-worker and River.
    Jobs,
}

impl Name {
    /// What the program `ground` calls it.
    const fn of_ground(self) -> Option<&'static str> {
        match self {
            Self::Ground => Some("ground"),
            Self::Gateway => Some("gateway"),
            Self::Heartbeats => Some("heartbeats"),
            Self::SignIn => Some("sign-in"),
            Self::Bills => Some("bills"),
            Self::Rollout => Some("rollout"),
            Self::Releases | Self::Jobs => None,
        }
    }
}

/// Runs the program, with this machine's packages installed where they are missing.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    machine::ensure(&[&machine::COMPILER, &machine::POSTGRES]).await?;
    if matches!(options.name, Name::Gateway) {
        machine::ensure(&[&machine::NGINX, &machine::HAPROXY, &machine::WRK]).await?;
    }
    let postgres = Postgres::start().await?;
    let Some(told) = options.name.of_ground() else {
        match options.name {
            Name::Releases => {
                releases::run(&postgres, options.instances, options.rounds).await?;
            }
            _ => jobs::run(&postgres, &options.jobs, options.rounds).await?,
        }
        return Ok(ExitCode::SUCCESS);
    };
    let mut command = cargo(&["bench", "--package", "mandate", "--bench", "ground", "--", told]);
    postgres.tell(&mut command);
    let status = process::run(command).await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
