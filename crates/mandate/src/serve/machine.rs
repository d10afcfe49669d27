//! What a machine is told of itself when its process is started.

use api::{
    labels::is_label,
    manifest::{bytes, thousandths},
    releases::Machine,
};
use clap::Args;

/// What a machine is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct MachineArgs {
    /// What distinguishes this machine, such as `disk=ssd`: services can ask for it
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// How much of this machine instances may be promised by their sizes, such as
    /// `memory=8GiB,cpu=4`; by default its memory, and any number of processors
    #[arg(long, value_name = "WHAT=HOW-MUCH,…", value_delimiter = ',', value_parser = capacity)]
    capacity: Vec<Capacity>,
}

/// How much of something a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Capacity {
    /// In bytes.
    Memory(u64),
    /// In thousandths of a processor.
    Cpu(u32),
}

impl MachineArgs {
    /// What the platform is told.
    pub(crate) fn machine(&self) -> Machine {
        let labels = self.labels.iter().cloned().collect();
        let mut machine = Machine { labels, ..Machine::default() };
        for capacity in &self.capacity {
            match capacity {
                Capacity::Memory(bytes) => machine.memory = Some(*bytes),
                Capacity::Cpu(thousandths) => machine.cpu = Some(*thousandths),
            }
        }
        machine
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or_default();
    if is_label(name) && is_label(value) {
        return Ok((name.to_owned(), value.to_owned()));
    }
    Err("write a name and a value of letters, digits, `-`, `_`, `.` and `/`, as in `disk=ssd`"
        .into())
}

fn capacity(text: &str) -> Result<Capacity, String> {
    let wrong = || format!("`{text}` is not a capacity such as `memory=8GiB` or `cpu=4`");
    match text.split_once('=') {
        Some(("memory", amount)) => bytes(amount).map(Capacity::Memory).ok_or_else(wrong),
        Some(("cpu", number)) => thousandths(number).map(Capacity::Cpu).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        machine: MachineArgs,
    }

    #[test]
    fn a_machine_says_what_it_is() {
        let read = |words: &[&str]| {
            let told = [&["up"], words].concat();
            <Program as clap::Parser>::try_parse_from(told).map(|it| it.machine.machine())
        };
        let said =
            ["--label", "disk=ssd", "--label", "site=a.b", "--capacity", "memory=2GiB,cpu=1.5"];
        let machine = read(&said).ok().unwrap();
        let labels = [("disk", "ssd"), ("site", "a.b")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            machine,
            Machine { labels: labels.into(), memory: Some(2 << 30), cpu: Some(1_500) }
        );
        for wrong in [
            ["--label", "ssd"],
            ["--label", "disk="],
            ["--label", "disk=a b"],
            ["--capacity", "memory=2"],
            ["--capacity", "disk=2GiB"],
            ["--capacity", "cpu=many"],
        ] {
            assert!(read(&wrong).is_err(), "{wrong:?}");
        }
    }
}
