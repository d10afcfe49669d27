//! The ground floor's cost: a call inside the house, a request through the gateway, rows per
//! second, and the memory of an idle platform.
//!
//! Whatever is compared runs in one process on one machine, in turns, for several rounds; a figure
//! is the median of the rounds, with the tenth and the ninetieth percentile beside it. Look at the
//! ratios first: the absolute numbers are of this machine and of what else it is doing.

mod call;
mod figures;
mod folder;
mod front;
mod memory;
mod platform;
mod program;
mod rows;

use std::sync::Arc;

use figures::Table;
use folder::Folder;
use platform::Platform;

fn main() -> anyhow::Result<()> {
    let house = runtime("house", 2)?;
    let folder = Folder::new()?;
    let mut table = Table::default();

    let outside = runtime("application", 1)?;
    let application = outside.block_on(front::application())?;
    let platform = Arc::new(house.block_on(Platform::start(&folder.join("here"), application))?);
    told("calls");
    house.block_on(call::measure(&platform, &folder.join("there"), &mut table))?;
    told("requests");
    front::measure(&platform, (&house, application), &folder.join("front"), &mut table)?;
    house.block_on(async { platform.end().await });
    told("rows");
    house.block_on(rows::measure(&folder.join("rows"), &mut table))?;
    told("memory");
    memory::measure(&folder.join("idle"), &mut table)?;
    println!("\n{table}");
    Ok(())
}

fn told(what: &str) {
    eprintln!("measuring {what} …");
}

/// A runtime whose threads can be told from the others'.
fn runtime(name: &str, threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all().build()
}
