//! `./x soak NAME`: what strains the platform for longer than a test may. Bounded in time and in
//! count; not part of `./x test`.

mod applications;
mod databases;
mod jobs;
mod kills;
mod ledger;
mod migrations;
mod nodes;

use std::process::ExitCode;

use nodes::Meanwhile;

/// Strains the platform for longer than a test may, and compares what came of it.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Kills the platform again and again while visitors come; each answered request must be on the
    /// bill, and once
    Kills(kills::Options),
    /// Does 50,000 jobs with workers that are killed and stopped; none may be lost, done twice, or
    /// done by a release that does not accept it
    Jobs(jobs::Options),
    /// Stops, upgrades, kills and cuts off the agents of three nodes, and the nodes, and fills their
    /// disks, while visitors come and jobs are asked for
    Nodes(nodes::Options),
    /// The same with fifty instances while releases go out, with migrations and without, some of them
    /// bad, and come back; nobody is turned away, and nothing that was written is lost
    Releases(nodes::Options),
    /// Kills the platform after each durable step of a migration, and of the way back from one that
    /// fails
    Migrations,
    /// Publishes applications that nobody here wrote, as they come from the indexes of npm and
    /// pip, and has their own clients use them
    Applications,
}

/// Runs it.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    match &options.what {
        What::Kills(options) => kills::run(options).await,
        What::Jobs(options) => jobs::run(options).await,
        What::Nodes(options) => nodes::run(options, Meanwhile::Nothing).await,
        What::Releases(options) => nodes::run(options, Meanwhile::Releases).await,
        What::Migrations => migrations::run().await,
        What::Applications => applications::run().await,
    }
}
