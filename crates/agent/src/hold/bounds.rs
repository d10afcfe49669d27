//! How much a command may take, with all that it starts.

use std::{fs, io};

use api::manifest::Size;
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};

use super::cgroup::Cgroup;
use crate::Node;

/// In a cgroup processor time is given out in pieces of so many microseconds.
const PERIOD_MICROS: u32 = 100_000;

/// How much a command may take.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// Thousandths of a processor.
    cpu: Option<u32>,
    /// Bytes.
    memory: Option<u64>,
    /// Processes and threads.
    processes: Option<u32>,
}

impl Bounds {
    /// What a size says, if there is one, and as many processes as the node allows.
    pub(crate) fn new(node: &Node, size: Option<&Size>) -> Self {
        let (cpu, memory) = size.map(|size| (size.cpu, size.memory)).unzip();
        Self { cpu, memory, processes: Some(node.processes_max) }
    }

    /// Bounds all that is in a cgroup, as far as its controllers are there.
    pub(super) fn of_all(&self, cgroup: &Cgroup) {
        let quota = |cpu: u32| format!("{} {PERIOD_MICROS}", u64::from(cpu) * 100);
        let bounds = [
            ("cpu.max", self.cpu.map(quota)),
            ("memory.max", self.memory.map(|bytes| bytes.to_string())),
            ("pids.max", self.processes.map(|count| count.to_string())),
        ];
        for (file, bound) in bounds {
            let path = cgroup.path().join(file);
            if let Some(bound) = bound.filter(|_| path.exists()) {
                let _ = fs::write(path, bound);
            }
        }
    }

    /// Bounds this process and what it starts where there is no cgroup. Processes are counted by
    /// user, so only what has a user of its own is bounded.
    pub(super) fn of_this(&self, has_user: bool) -> io::Result<()> {
        if let Some(count) = self.processes.filter(|_| has_user) {
            let most = Some(count.into());
            setrlimit(Resource::Nproc, Rlimit { current: most, maximum: most })?;
        }
        let niceness = match self.cpu {
            None => 0,
            Some(..1_000) => 10,
            Some(_) => 5,
        };
        // Whoever may not be nicer is as nice as its agent.
        let _ = nice(niceness);
        Ok(())
    }
}
