//! How long somebody has had a processor.

use std::{path::Path, time::Duration};

use anyhow::Context as _;

/// Whose time it is.
pub(crate) enum Whose {
    /// The threads of this process with that name.
    Threads(&'static str),
    /// The process of that number.
    Process(u32),
    /// The processes that the process of that number has started.
    Children(u32),
}

impl Whose {
    /// What they have had so far, those that are gone apart.
    pub(crate) fn spent(&self) -> anyhow::Result<Duration> {
        let mut spent = Duration::ZERO;
        match self {
            Self::Threads(name) => {
                for task in std::fs::read_dir("/proc/self/task")? {
                    let task = task?.path();
                    let called = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
                    if called.trim() == *name {
                        spent += of(&task)?;
                    }
                }
            }
            Self::Process(id) => {
                for task in std::fs::read_dir(format!("/proc/{id}/task"))? {
                    spent += of(&task?.path())?;
                }
            }
            Self::Children(parent) => {
                let children = format!("/proc/{parent}/task/{parent}/children");
                for child in std::fs::read_to_string(children)?.split_whitespace() {
                    spent += Self::Process(child.parse()?).spent()?;
                }
            }
        }
        Ok(spent)
    }
}

/// Nanoseconds on a processor are the first of three numbers.
fn of(task: &Path) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(task.join("schedstat"))?;
    let nanos = text.split(' ').next().and_then(|number| number.parse().ok());
    Ok(Duration::from_nanos(nanos.context("the kernel counts no times")?))
}
