//! The memory of a platform that nobody asks anything.

use std::{path::Path, time::Duration};

use anyhow::Context as _;

use crate::{
    figures::{Table, short},
    program::Program,
};

/// What issue 2 allows.
const LIMIT_MIB: f64 = 150.0;
/// What is done once at the beginning is over by then.
const SETTLE: Duration = Duration::from_secs(5);

pub(crate) fn measure(data: &Path, table: &mut Table) -> anyhow::Result<()> {
    let program = Program::up(data, &[])?;
    std::thread::sleep(SETTLE);
    let memory = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", program.id()))?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id()))?;
    let (resident, shared) = (mebibytes(&memory, "Rss:")?, mebibytes(&memory, "Pss:")?);
    let (own, most) = (mebibytes(&memory, "Anonymous:")?, mebibytes(&status, "VmHWM:")?);
    table.head(
        "The idle platform: `mandate up` on an empty folder, MiB",
        ["resident", "", "at most", ""],
    );
    let beside = format!(
        "{LIMIT_MIB} allowed; {} of it in proportion to who shares it, {} not from a file",
        short(shared),
        short(own)
    );
    let cells = [short(resident), String::new(), short(most), beside];
    table.row("all components, gateway, console, agent", cells);
    table.note(format!(
        "ready {} ms after its start; read {} s later",
        program.took.as_millis(),
        SETTLE.as_secs()
    ));
    Ok(())
}

/// A line such as `Rss:   1234 kB`.
fn mebibytes(text: &str, name: &str) -> anyhow::Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(number.with_context(|| format!("the kernel does not say `{name}`"))? / 1024.0)
}
