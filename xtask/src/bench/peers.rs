//! Queues of others, on the same server: they come from npm and crates.io when they are asked for.

use std::{path::Path, process::Command};

use anyhow::ensure;

use crate::{postgres::Postgres, process, programs::cargo};

/// How many jobs each does, as many as ours.
const JOBS: &str = "50000";

/// Says what each of them does.
pub(crate) async fn run(postgres: &Postgres) -> anyhow::Result<()> {
    let folder = Path::new("target/peers");
    std::fs::create_dir_all(folder)?;
    for name in ["package.json", "peers.mjs"] {
        std::fs::copy(Path::new("xtask/peers").join(name), folder.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(folder);
    succeeds(npm).await?;
    // Debian's Node is too old for them.
    let mut node = Command::new(std::fs::canonicalize(folder)?.join("node_modules/.bin/node"));
    node.args(["peers.mjs", &postgres.url(), JOBS]).current_dir(folder);
    succeeds(node).await?;
    let mut river = cargo(&["run", "--release", "--manifest-path", "xtask/peers/river/Cargo.toml"]);
    river.args(["--target-dir", "target/peers/river", "--"]);
    river.args([&postgres.url(), JOBS]);
    succeeds(river).await
}

async fn succeeds(command: Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    ensure!(process::run(command).await?.success(), "`{name}` has failed");
    Ok(())
}
