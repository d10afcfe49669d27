//! Composes all crates into one program and one command line.
//!
//! `mandate up` and `mandate agent` are in [`serve`]; every other command, in [`cli`], is one
//! operation of a component and one printed table, or the reply as JSON.

mod cli;
mod serve;

use std::process::ExitCode;

/// The gateway allocates for each request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A small process that holds a command is this program too, and needs nothing of the rest.
    agent::hold(std::env::args_os()).map_or_else(run, ExitCode::from)
}

#[tokio::main]
async fn run() -> ExitCode {
    cli::main().await
}
