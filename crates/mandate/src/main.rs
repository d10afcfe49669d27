//! Composes the rooms into one program and one command line.
//!
//! `mandate up` and `mandate agent` are in [`serve`]; every other command, in [`cli`], is one
//! operation of a component and one printed table, or the reply as JSON. [`publish`] makes a
//! service's folder into a signed package.

mod cli;
mod publish;
mod serve;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main().await
}
