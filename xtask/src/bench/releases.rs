//! `./x bench releases`: instances come to a release that migrates their databases, beside the bare
//! steps of the same (copy, the same command, two renames) and django-tenants' `migrate_schemas` over as
//! many schemas. All on one server, in turns.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::{
    demo::{
        person::{self, FAST_PROGRAM, Person, number, text},
        platform::{Platform, operator},
    },
    machine,
    postgres::Postgres,
    process::{self, succeeds},
    programs::cargo,
    python,
};

/// Where everything is put together.
const FOLDER: &str = "target/peers/tenants";
/// What a new release changes in each database.
const CHANGE: &str = "alter table note add column c{round} text;\nselect pg_sleep(0.02);\n";
/// So many orders are under way at once.
const ORDERS_AT_ONCE: usize = 8;

/// Measures, and prints the table.
pub(super) async fn run(postgres: &Postgres, count: u32, rounds: u32) -> anyhow::Result<()> {
    machine::ensure(&[&machine::PYTHON, &machine::PYTHON_VENV]).await?;
    let folder = std::path::absolute(FOLDER)?;
    let peers = Peers::prepare(&folder, postgres, count).await?;
    let ours = Ours::start(&folder, postgres, count).await?;
    let mut took = Took::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds} …");
        took.ours.push(ours.moves(round).await?);
        took.bare.push(peers.bare("migrate").await?);
        took.one.push(peers.django(2 * round - 1, "standard").await?);
        took.several.push(peers.django(2 * round, "multiprocessing").await?);
        ours.waits(&mut took).await?;
        peers.bare("forget").await?;
    }
    ours.platform.stop();
    println!("\n{}", took.table(count));
    Ok(())
}

/// What was measured, in seconds for all of them.
#[derive(Default)]
struct Took {
    ours: Vec<f64>,
    bare: Vec<f64>,
    one: Vec<f64>,
    several: Vec<f64>,
    /// For how long each instance's requests waited, and were answered that it is closed after that,
    /// in milliseconds.
    held: Vec<f64>,
    closed: Vec<f64>,
}

impl Took {
    fn table(&self, count: u32) -> String {
        let head = format!("{count} instances, a migration of 20 ms, seconds for all");
        let mut lines = vec![format!(
            "{head:<58}{:>9}{:>18}  ours is as fast, times",
            "median", "least – most"
        )];
        let rows = [
            ("Mandate, by a copy, four at once", &self.ours),
            ("bare: copy, command, renames, four at once", &self.bare),
            ("django-tenants, no copy, one at a time", &self.one),
            ("django-tenants, no copy, four processes", &self.several),
        ];
        for (who, times) in rows {
            let ratios: Vec<f64> =
                times.iter().zip(&self.ours).map(|(it, ours)| it / ours).collect();
            let spread = format!("{:.1} – {:.1}", at(times, 0.0), at(times, 1.0));
            let ratio = format!(
                "{:.2} ({:.2} – {:.2})",
                at(&ratios, 0.5),
                at(&ratios, 0.0),
                at(&ratios, 1.0)
            );
            lines.push(format!("  {who:<56}{:>9.1}{spread:>18}  {ratio}", at(times, 0.5)));
        }
        for (what, times) in [("held", &self.held), ("closed after that", &self.closed)] {
            let (p50, p99) = (at(times, 0.5), at(times, 0.99));
            lines.push(format!("an instance is {what}, ms: p50 {p50:.0}, p99 {p99:.0}"));
        }
        lines.join("\n")
    }
}

/// The value below which a share of them lies.
fn at(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among some thousand values"
    )]
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// What others do.
struct Peers {
    folder: PathBuf,
    python: PathBuf,
    server: String,
    schemas: String,
    count: String,
}

impl Peers {
    async fn prepare(folder: &Path, postgres: &Postgres, count: u32) -> anyhow::Result<Self> {
        let from = Path::new("xtask/peers/tenants");
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder.parent().context("it is in a folder")?)?;
        succeeds(Command::new("cp").arg("-r").arg(from).arg(folder)).await?;
        let requirements = [from.join("requirements.txt")];
        let python = python::environment("target/peers/tenants-venv", &requirements).await?;
        let peers = Self {
            folder: folder.to_owned(),
            python,
            server: postgres.url(),
            schemas: postgres.database("tenants").await?,
            count: count.to_string(),
        };
        eprintln!("preparing the databases of the bare steps …");
        peers.bare("prepare").await?;
        eprintln!("preparing the schemas of django-tenants …");
        let mut prepare = peers.tenants("prepare");
        succeeds(prepare.arg(&peers.count)).await?;
        Ok(peers)
    }

    /// What it took, in seconds.
    async fn bare(&self, what: &str) -> anyhow::Result<f64> {
        let mut command = Command::new(&self.python);
        command.arg(self.folder.join("bare.py")).args([what, &self.server, &self.count]);
        seconds(command.arg(self.folder.join("service"))).await
    }

    async fn django(&self, number: u32, executor: &str) -> anyhow::Result<f64> {
        seconds(self.tenants("migrate").args([&number.to_string(), executor])).await
    }

    fn tenants(&self, what: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(self.folder.join("django")).args(["tenants.py", what]);
        command.env("TENANTS_DATABASE", &self.schemas);
        command
    }
}

/// The platform, with instances that are open.
struct Ours {
    platform: Platform,
    operator: Person,
    owner: Person,
    service: PathBuf,
    count: u32,
    _data: Removed,
}

/// A folder that goes when this is dropped.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Ours {
    async fn start(folder: &Path, postgres: &Postgres, count: u32) -> anyhow::Result<Self> {
        succeeds(&mut cargo(&["build", "--release", "--package", "mandate"])).await?;
        let data = std::env::temp_dir().join(format!("mandate-bench-{}", std::process::id()));
        let remains = Removed(data.clone());
        let (server, prefix) = (postgres.url(), "bench");
        let options = ["--database", &server, "--database-prefix", prefix];
        let platform = Platform::start_by(FAST_PROGRAM, &data, None, &options).await?;
        let url = format!("http://127.0.0.1:{}", platform.port);
        let person = |name: &str, email: &str, password: &str| {
            Person::new(&data, &url, name, email, password).by(FAST_PROGRAM)
        };
        let found = operator(&data)?;
        let operator = person("operator", &found.email, &found.password);
        operator.ask(&format!("sign-in {}", found.email)).await?;
        let owner = person("owner", "owner@bakery.example", "flour-and-water");
        let registered = owner.ask(&format!("register Bakery --email {}", owner.email)).await?;
        let account = text(&registered, "/account")?;
        let quota =
            format!("order quota --instances {count} --orders-an-hour {count} --account {account}");
        operator.ask(&quota).await?;
        let service = folder.join("service");
        let ours = Self { platform, operator, owner, service, count, _data: remains };
        ours.opens().await?;
        Ok(ours)
    }

    /// Publishes the first release, and opens so many instances.
    async fn opens(&self) -> anyhow::Result<()> {
        self.operator.ask(&format!("service publish {}", self.service.display())).await?;
        eprintln!("opening {} instances …", self.count);
        let orders = (0..self.count).map(async |number| {
            let line =
                format!("order place tenants --size small --host n{number}.localhost --wait");
            self.owner.ask(&line).await
        });
        let orders = stream::iter(orders).buffer_unordered(ORDERS_AT_ONCE);
        let placed: Vec<Value> = orders.try_collect().await?;
        let is_open = |it: &&Value| it["state"] == "open";
        let open = placed.iter().filter(is_open).count();
        ensure!(open == placed.len(), "only {open} of {} instances are open", placed.len());
        Ok(())
    }

    /// All of them come to another release; what that took from the promotion on, in seconds.
    async fn moves(&self, round: u32) -> anyhow::Result<f64> {
        let change = CHANGE.replace("{round}", &round.to_string());
        fs::write(self.service.join("change.sql"), change)?;
        let manifest = self.service.join("mandate.toml");
        let (before, now) = (format!("schema = {round}"), format!("schema = {}", round + 1));
        let text = fs::read_to_string(&manifest)?.replace(&before, &now);
        fs::write(&manifest, text)?;
        let publish = format!("service publish {} --wait", self.service.display());
        let release = self.operator.ask(&publish).await?;
        let digest = person::text(&release, "/digest")?;
        let begun = Instant::now();
        self.operator.ask(&format!("release promote tenants {digest} --all-at-once")).await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// For how long each was held and closed.
    async fn waits(&self, took: &mut Took) -> anyhow::Result<()> {
        for number in 0..self.count {
            let host = format!("n{number}.localhost");
            let shown = self.owner.ask(&format!("instance show {host}")).await?;
            let last = shown.get("last_move").context("it has not moved")?;
            ensure!(last.get("problem").is_none(), "{host}: {last}");
            took.held.push(millis(last, "/held_millis")?);
            took.closed.push(millis(last, "/closed_millis")?);
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a few minutes")]
fn millis(last: &Value, pointer: &str) -> anyhow::Result<f64> {
    Ok(number(last, pointer)? as f64)
}

/// Runs a program that prints, last, how many seconds something took.
async fn seconds(command: &mut Command) -> anyhow::Result<f64> {
    let done = process::output(std::mem::replace(command, Command::new("true"))).await?;
    let (said, printed) =
        (String::from_utf8_lossy(&done.stderr), String::from_utf8_lossy(&done.stdout));
    ensure!(done.status.success(), "the measurement failed ({}): {}", done.status, said.trim());
    let last = printed.lines().last().unwrap_or_default();
    last.parse().with_context(|| format!("`{last}` is no number of seconds"))
}
