//! The test programs that cargo builds. Two run at a time, since most of what tests do is wait.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::ensure;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::tally::{Libtest, Tally};
use crate::{
    machine,
    postgres::Postgres,
    process,
    programs::{as_outside, cargo},
};

/// So many run at once, each with as many tests at once as the machine has processors.
const AT_ONCE: usize = 2;
/// Those that take minutes are begun first.
const LONG: [&str; 3] = ["stories", "components", "crash"];

/// Builds the tests of some packages, or of all if none is named, and runs them. What failed is
/// added to `failures`.
pub(super) async fn run(
    packages: &[&str],
    postgres: &Postgres,
    failures: &mut Vec<String>,
) -> anyhow::Result<Tally> {
    let mut suites = built(packages).await?;
    suites.sort_by_key(Suite::turn);
    let runs = suites.iter().map(|suite| suite.run(postgres));
    let mut runs = stream::iter(runs).buffer_unordered(AT_ONCE);
    let mut sum = Tally::default();
    while let Some(run) = runs.next().await {
        let (tally, failed) = run?;
        sum = sum.and(tally);
        failures.extend(failed);
    }
    Ok(sum)
}

async fn built(packages: &[&str]) -> anyhow::Result<Vec<Suite>> {
    // Without those in documents: there are none, and to ask each crate for them takes a while.
    let mut command = cargo(&["test", "--no-run", "--tests"]);
    command.args(["--message-format", "json-render-diagnostics"]).stdout(Stdio::piped());
    match packages {
        [] => command.arg("--workspace"),
        some => command.args(some.iter().flat_map(|name| ["--package", name])),
    };
    let mut suites = Vec::new();
    let status = process::listen(command, |line| suites.extend(Suite::read(line))).await?;
    ensure!(status.success(), "the tests cannot be built");
    Ok(suites)
}

/// A program that runs tests.
#[derive(Debug, PartialEq, Eq)]
struct Suite {
    name: String,
    /// The file that it begins with.
    source: PathBuf,
    program: PathBuf,
    /// Its package's.
    folder: PathBuf,
}

impl Suite {
    /// What cargo says of one that it has built; nothing if a line says something else.
    fn read(line: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(line).ok()?;
        if said["reason"] != "compiler-artifact" || said["profile"]["test"] != true {
            return None;
        }
        let path = |value: &Value| value.as_str().map(PathBuf::from);
        Some(Self {
            name: said["target"]["name"].as_str()?.to_owned(),
            source: path(&said["target"]["src_path"])?,
            program: path(&said["executable"])?,
            folder: path(&said["manifest_path"])?.parent()?.to_owned(),
        })
    }

    fn turn(&self) -> usize {
        LONG.iter().position(|name| *name == self.name).unwrap_or(LONG.len())
    }

    /// Runs it to its end, and then shows all that it has printed.
    async fn run(&self, postgres: &Postgres) -> anyhow::Result<(Tally, Vec<String>)> {
        let begun = Instant::now();
        let mut command = as_outside(Command::new(&self.program));
        command.current_dir(&self.folder).stdout(Stdio::piped());
        postgres.tell(&mut command);
        machine::tell_pip(&mut command)?;
        let (mut printed, mut libtest) = (String::new(), Libtest::default());
        let status = process::listen(command, |line| {
            libtest.read(line.trim_end());
            printed.extend([line, "\n"]);
        });
        let status = status.await?;
        println!("\n-- {} took {:.1} s", self.shown(), begun.elapsed().as_secs_f64());
        println!("{}", printed.trim_matches('\n'));
        let mut failed: Vec<String> = libtest.failures().map(str::to_owned).collect();
        if !status.success() && failed.is_empty() {
            failed.push(format!("{} ended early ({status})", self.shown()));
        }
        Ok((libtest.tally(status.success()), failed))
    }

    fn shown(&self) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        let source: &Path = self.source.strip_prefix(here).unwrap_or(&self.source);
        source.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_has_built_is_told_from_what_else_it_says() {
        let artifact = serde_json::json!({
            "reason": "compiler-artifact",
            "manifest_path": "/w/crates/db/Cargo.toml",
            "target": { "name": "engines", "src_path": "/w/crates/db/tests/engines.rs" },
            "profile": { "test": true },
            "executable": "/w/target/debug/deps/engines-1",
        });
        let suite = Suite::read(&artifact.to_string()).unwrap();
        assert_eq!((suite.name.as_str(), suite.turn()), ("engines", LONG.len()));
        assert_eq!(suite.folder, Path::new("/w/crates/db"));
        assert_eq!(suite.program, Path::new("/w/target/debug/deps/engines-1"));
        let mut library = artifact.clone();
        library["profile"]["test"] = false.into();
        let finished = r#"{"reason":"build-finished","success":true}"#;
        for other in [library.to_string().as_str(), finished, "", "running 1 test"] {
            assert_eq!(Suite::read(other), None, "{other}");
        }
    }
}
