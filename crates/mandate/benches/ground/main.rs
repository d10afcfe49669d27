//! What the platform costs, by the name that is given: `ground`, the ground floor (a call inside
//! the house, a request through the gateway, rows per second, the memory of an idle platform);
//! `gateway`, a request beside nginx and HAProxy; `heartbeats`, what nodes cost that have nothing new to say; `sign-in`, what others notice of
//! wrong sign-ins; `bills`, what a click on a bill costs with much usage behind it; `rollout`, how long
//! all instances of a shared service take to another release.
//!
//! Whatever is compared runs in one process on one machine, in turns, for several rounds; a figure
//! is the median of the rounds, with the tenth and the ninetieth percentile beside it. Look at the
//! ratios first: the absolute numbers are of this machine and of what else it is doing.

mod bills;
mod call;
mod figures;
mod folder;
mod front;
mod gateway;
mod heartbeats;
mod herd;
mod memory;
mod platform;
mod program;
mod rollout;
mod rows;
mod sign_in;

use std::sync::Arc;

use figures::Table;
use folder::Folder;
use platform::Platform;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    // `cargo bench` adds options of its own.
    let name = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut table = Table::default();
    match name.as_deref() {
        None | Some("ground") => ground(&mut table)?,
        Some("gateway") => gateway::measure(&mut table)?,
        Some("heartbeats") => heartbeats::measure(&runtime("house", 2)?, &mut table)?,
        Some("sign-in") => sign_in::measure(&runtime("house", 2)?, &mut table)?,
        Some("bills") => bills::measure(&runtime("house", 2)?, &mut table)?,
        Some("rollout") => rollout::measure(&runtime("house", 2)?, &mut table)?,
        Some(other) => {
            anyhow::bail!(
                "`{other}` is not measured: ground, gateway, heartbeats, sign-in, bills, rollout"
            )
        }
    }
    println!("\n{table}");
    Ok(())
}

fn ground(table: &mut Table) -> anyhow::Result<()> {
    let house = runtime("house", 2)?;
    let folder = Folder::new()?;
    let outside = runtime("application", 1)?;
    let application = outside.block_on(front::application())?;
    let here = folder.join("here");
    let starting = Platform::start(&here, db::Engine::sqlite(here.join("databases")), application);
    let platform = Arc::new(house.block_on(starting)?);
    told("calls");
    house.block_on(call::measure(&platform, &folder.join("there"), table))?;
    told("requests");
    front::measure(&platform, (&house, application), &folder.join("front"), table)?;
    house.block_on(async { platform.end().await });
    told("rows");
    house.block_on(rows::measure(&folder.join("rows"), table))?;
    told("memory");
    memory::measure(&folder.join("idle"), table)
}

fn told(what: &str) {
    eprintln!("measuring {what} …");
}

/// A runtime whose threads can be told from the others'.
fn runtime(name: &str, threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all().build()
}
