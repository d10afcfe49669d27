//! `./x bench jobs`: our queue beside those of others on one server, in turns. The others come from
//! npm and crates.io when they are asked for.

mod figures;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::ensure;

use crate::{
    postgres::Postgres,
    process::{self, succeeds},
    programs::cargo,
};
use figures::Figures;

/// How much of `jobs` is measured.
#[derive(clap::Args)]
pub(super) struct Counts {
    /// How many jobs each queue does in a turn
    #[arg(long, default_value_t = 20_000)]
    jobs: u32,
    /// How many jobs wait while it is measured what that costs
    #[arg(long, default_value_t = 1_000_000)]
    waiting: u32,
}

/// What everything is compared with.
const BARE: &str = "bare `skip locked`";

/// Measures, and prints the table.
pub(super) async fn run(postgres: &Postgres, counts: &Counts, rounds: u32) -> anyhow::Result<()> {
    let Counts { jobs, waiting } = *counts;
    let contenders = Contenders::build().await?;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        for contender in ["bare", "postgres", "sqlite", "pg-boss", "graphile-worker", "river"] {
            eprintln!("round {round} of {rounds}: {contender} …");
            let database = postgres
                .database(&format!("bench_{}_{round}", contender.replace('-', "_")))
                .await?;
            follow(contenders.command(contender, &database, (jobs, 0)), &mut figures).await?;
        }
    }
    for engine in ["postgres", "sqlite"] {
        eprintln!("{engine} with {waiting} waiting …");
        let mut alone = Figures::default();
        let database = postgres.database(&format!("bench_{engine}_waiting")).await?;
        follow(contenders.command(engine, &database, (jobs, waiting)), &mut alone).await?;
        figures.add_beside(alone, &format!(", {waiting} waiting"));
    }
    println!("\n{}", figures.table(BARE));
    Ok(())
}

async fn follow(mut command: Command, figures: &mut Figures) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdout(Stdio::piped());
    let status = process::follow(command, |line| figures.read(line)).await?;
    ensure!(status.success(), "`{name}` has failed ({status})");
    Ok(())
}

/// The programs, as they were built.
struct Contenders {
    peers: PathBuf,
}

impl Contenders {
    async fn build() -> anyhow::Result<Self> {
        let folder = Path::new("target/peers");
        std::fs::create_dir_all(folder)?;
        for name in ["package.json", "peers.mjs"] {
            std::fs::copy(Path::new("xtask/peers").join(name), folder.join(name))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(folder);
        succeeds(&mut npm).await?;
        succeeds(&mut river("build")).await?;
        let bench = ["bench", "--package", "mandate", "--bench", "jobs", "--no-run"];
        succeeds(&mut cargo(&bench)).await?;
        Ok(Self { peers: std::fs::canonicalize(folder)? })
    }

    fn command(&self, contender: &str, database: &str, (jobs, waiting): (u32, u32)) -> Command {
        let jobs = &jobs.to_string();
        match contender {
            "river" => {
                let mut river = river("run");
                river.args(["--", database, jobs]);
                river
            }
            "pg-boss" | "graphile-worker" => {
                // Debian's Node is too old for them.
                let mut node = Command::new(self.peers.join("node_modules/.bin/node"));
                node.args(["peers.mjs", contender, database, jobs]).current_dir(&self.peers);
                node
            }
            ours => {
                let mut bench = cargo(&["bench", "--quiet", "--package", "mandate"]);
                bench.args(["--bench", "jobs", "--", ours, jobs, &waiting.to_string()]);
                bench.arg(if waiting == 0 { "1" } else { "3" });
                bench.env("MANDATE_TEST_POSTGRES", database);
                bench
            }
        }
    }
}

fn river(what: &str) -> Command {
    let mut river = cargo(&[what, "--quiet", "--release"]);
    river.args(["--manifest-path", "xtask/peers/river/Cargo.toml"]);
    river.args(["--target-dir", "target/peers/river"]);
    river
}
