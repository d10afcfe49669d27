//! The developer's commands: `./x demo`, `./x test`, `./x bench NAME`, `./x soak NAME`, `./x fresh`. The script `x`
//! installs what linking this program needs, and hands over to it.

mod bench;
mod demo;
mod fresh;
mod machine;
mod postgres;
mod process;
mod programs;
mod python;
mod soak;
mod test;

use std::{path::Path, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The developer's commands.
#[derive(Parser)]
#[command(name = "x", bin_name = "./x")]
enum Command {
    /// Runs the whole main job on a platform of its own, shows each step, and stays up.
    Demo(demo::Options),
    /// Checks everything: format, lints, and all tests on SQLite and PostgreSQL.
    Test(test::Options),
    /// Measures.
    Bench(bench::Options),
    /// Strains the platform for longer than a test may, and compares what came of it
    Soak(soak::Options),
    /// Tries the commands in a new Debian 12 that has Rust and nothing else.
    Fresh(fresh::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = Command::parse();
    // Whichever ends first: what the command started is stopped when its future is dropped.
    tokio::select! {
        done = run(command) => done.unwrap_or_else(|error| {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }),
        () = interrupted() => {
            eprintln!("\ninterrupted; what was started is stopped");
            ExitCode::from(INTERRUPTED)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    // Made absolute here, since all else is named from the workspace's folder.
    let command = match command {
        Command::Demo(options) => Command::Demo(options.absolute()?),
        Command::Fresh(options) => Command::Fresh(options.absolute()?),
        other => other,
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    std::env::set_current_dir(workspace.expect("xtask is a folder of the workspace"))?;
    match command {
        Command::Demo(options) => demo::run(&options).await,
        Command::Test(options) => test::run(&options).await,
        Command::Bench(options) => bench::run(&options).await,
        Command::Soak(options) => soak::run(&options).await,
        Command::Fresh(options) => fresh::run(&options).await,
    }
}

/// Returns when somebody asks this program to end.
async fn interrupted() {
    let listens = "a process may listen to its own signals";
    let mut terminate = signal(SignalKind::terminate()).expect(listens);
    let mut interrupt = signal(SignalKind::interrupt()).expect(listens);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
