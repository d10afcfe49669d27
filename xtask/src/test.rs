//! `./x test`: everything that must hold, on this machine, in one command.

mod store;
mod suites;
mod tally;

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use crate::{
    machine::{self, Need},
    postgres::Postgres,
    process,
    programs::{self, cargo},
};
use tally::Tally;

/// Checks everything.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this: `format`, `clippy`, `build`, `tests`, `store`, or a crate whose tests to run
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

const STEPS: [&str; 5] = ["format", "clippy", "build", "tests", "store"];

impl Options {
    fn wants(&self, step: &str) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|name| name == step)
            || (step == "tests" && !self.crates().is_empty())
    }

    /// The crates that were named; none means all.
    fn crates(&self) -> Vec<&str> {
        self.only.iter().map(String::as_str).filter(|name| !STEPS.contains(name)).collect()
    }

    fn needs(&self) -> Vec<&'static Need> {
        let mut needs = vec![&machine::COMPILER];
        if self.wants("tests") || self.wants("store") {
            needs.extend([&machine::PYTHON, &machine::PYTHON_VENV, &machine::POSTGRES]);
        }
        if self.wants("tests") {
            needs.extend([&machine::CHROMIUM, &machine::GIT]);
        }
        needs
    }
}

/// What came of a step.
struct Done {
    step: &'static str,
    took: Duration,
    outcome: Result<Tally, String>,
}

/// Runs every step, then says how each went.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    machine::ensure(&options.needs()).await?;
    let mut done = Vec::new();
    check(options, &mut done, "format", cargo(&["fmt", "--all", "--check"])).await;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    check(options, &mut done, "clippy", cargo(&clippy)).await;
    if options.wants("build") {
        // Exactly as for the tests, programs included, so that nothing is built twice.
        let build = programs::build(&["test", "--workspace", "--no-run"]);
        measure(&mut done, "build", async { build.await.map(|()| Tally::check(true)) }).await;
    }
    let mut failures = Vec::new();
    if options.wants("tests") || options.wants("store") {
        with_postgres(options, &mut done, &mut failures).await;
    }
    Ok(report(&done, &failures))
}

async fn check(options: &Options, done: &mut Vec<Done>, step: &'static str, command: Command) {
    if !options.wants(step) {
        return;
    }
    measure(done, step, async {
        let status = process::run(command).await?;
        Ok(Tally::check(status.success()))
    })
    .await;
}

/// What needs a server of databases.
async fn with_postgres(options: &Options, done: &mut Vec<Done>, failures: &mut Vec<String>) {
    let begun = Instant::now();
    let postgres = match Postgres::start().await {
        Ok(postgres) => postgres,
        Err(error) => {
            let outcome = Err(format!("{error:#}"));
            done.push(Done { step: "PostgreSQL", took: begun.elapsed(), outcome });
            return;
        }
    };
    let is_built = done.iter().all(|done| done.step != "build" || done.succeeded());
    let tests = async {
        if options.wants("tests") && is_built {
            let crates = options.crates();
            measure(done, "tests", suites::run(&crates, &postgres, failures)).await;
        } else if options.wants("tests") {
            let outcome = Err("not run, since the build failed".into());
            done.push(Done { step: "tests", took: Duration::ZERO, outcome });
        }
    };
    // What it prints is shown after what is shown of the others.
    let store = async {
        let (begun, mut printed) = (Instant::now(), String::new());
        let outcome = store::tests(Path::new("services/store"), &postgres, &mut printed).await;
        let outcome = outcome.map_err(|error| format!("{error:#}"));
        (printed, Done { step: "store", took: begun.elapsed(), outcome })
    };
    if !options.wants("store") {
        return tests.await;
    }
    let ((), (printed, store)) = tokio::join!(tests, store);
    println!("\n== store\n{printed}== {}", store.line());
    done.push(store);
}

async fn measure(
    done: &mut Vec<Done>,
    step: &'static str,
    work: impl Future<Output = anyhow::Result<Tally>>,
) {
    println!("\n== {step}");
    let begun = Instant::now();
    let outcome = work.await.map_err(|error| format!("{error:#}"));
    let step = Done { step, took: begun.elapsed(), outcome };
    println!("== {}", step.line());
    done.push(step);
}

impl Done {
    fn succeeded(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|tally| tally.failed == 0)
    }

    fn line(&self) -> String {
        let outcome = match &self.outcome {
            Ok(tally) => tally.to_string(),
            Err(why) => why.clone(),
        };
        format!("{:<10} {:>7.1} s  {outcome}", self.step, self.took.as_secs_f64())
    }
}

/// What failed and why, the table, and the sum in the last line.
fn report(done: &[Done], failures: &[String]) -> ExitCode {
    if !failures.is_empty() {
        println!("\nFailed");
        for line in failures {
            println!("  {line}");
        }
    }
    println!("\nSummary");
    for step in done {
        println!("  {}", step.line());
    }
    let tallies = done.iter().map(|step| step.outcome.clone().unwrap_or(Tally::check(false)));
    let sum = tallies.fold(Tally::default(), Tally::and);
    println!("{} passed, {} failed", sum.passed, sum.failed);
    if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
