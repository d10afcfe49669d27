//! Releases go out while machines come and go: with a migration and without, good ones and bad ones.
//! Some are paused on their way, some called back; what a machine that was lost has stopped is resumed.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{FOLDER, Scene, WITH_RELEASES, chance::Chance};
use crate::demo::{
    browser::Browser,
    person::{Person, text},
};

/// What a release is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is other code.
    Plain,
    /// It needs another shape of the database.
    Migrates,
    /// Its processes end at once.
    Silent,
    /// Its migration fails after it has done harm.
    Broken,
}

/// As often as they are listed.
const KINDS: [Kind; 6] =
    [Kind::Plain, Kind::Plain, Kind::Migrates, Kind::Migrates, Kind::Silent, Kind::Broken];
const PLANS: [&str; 5] = [
    "--one-by-one",
    "--all-at-once",
    "--waves 1,50%,rest",
    "--at-once 4 --workers restart",
    "--at-once 3 --workers drain --workers-within 20s",
];
/// A release is where it should be, or has been given up, within this time.
const LONGEST: Duration = Duration::from_mins(8);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What a command is told while the platform cannot yet do it.
const NOT_YET: [&str; 3] = ["nodes_not_ready", "rollout_turning_back", "rollout_under_way"];

/// Sends them out until it is over, and then a last one of each service, which all must come to.
pub(super) async fn go_out(
    scene: &Scene,
    mut chance: Chance,
    over: &Cell<bool>,
) -> anyhow::Result<()> {
    let mut fleet = Fleet { scene, number: 0, schemas: BTreeMap::new() };
    while !over.get() {
        sleep(chance.millis(500, 6_000)).await;
        let (service, _) = chance.one_of(WITH_RELEASES);
        let kind = match chance.one_of(&KINDS) {
            Kind::Migrates | Kind::Broken if !migrates(service) => Kind::Plain,
            kind => kind,
        };
        fleet.release(service, kind, &mut chance).await?;
    }
    for (service, _) in WITH_RELEASES {
        let kind = if migrates(service) { Kind::Migrates } else { Kind::Plain };
        let (name, digest) = fleet.stage(service, kind).await?;
        fleet.promote(service, &digest, "--all-at-once").await?;
        fleet.arrives(service, kind).await?;
        fleet.all_are_on(service, &name, &digest).await?;
    }
    Ok(())
}

fn migrates(service: &str) -> bool {
    matches!(service, "keeper" | "pool")
}

/// The services, and how far they are.
struct Fleet<'s> {
    scene: &'s Scene,
    number: u32,
    /// The shape that the last good release of each service needs, and the last that any did.
    schemas: BTreeMap<&'static str, (u32, u32)>,
}

impl Fleet<'_> {
    async fn release(
        &mut self,
        service: &'static str,
        kind: Kind,
        chance: &mut Chance,
    ) -> anyhow::Result<()> {
        let (_, digest) = self.stage(service, kind).await?;
        let plan = chance.one_of(&PLANS);
        println!("   {service}: {kind:?} release, {plan}");
        self.promote(service, &digest, plan).await?;
        let is_bad = matches!(kind, Kind::Silent | Kind::Broken);
        match chance.below(5) {
            0 if !is_bad => {
                sleep(chance.millis(0, 4_000)).await;
                // It may have ended before.
                let _ = self.scene.operator.run(&format!("release pause {service}")).await?;
                self.scene.count("release paused");
                sleep(chance.millis(0, 3_000)).await;
                let _ = self.scene.operator.run(&format!("release resume {service}")).await?;
            }
            1 if kind == Kind::Plain => {
                sleep(chance.millis(0, 4_000)).await;
                self.goes_back(service).await?;
            }
            _ => {}
        }
        self.arrives(service, kind).await
    }

    /// Publishes a release; answers what it calls itself, and its digest.
    async fn stage(
        &mut self,
        service: &'static str,
        kind: Kind,
    ) -> anyhow::Result<(String, String)> {
        self.number += 1;
        let name = format!("release-{}", self.number);
        let folder = self.scene.folder.join(&name);
        let first = u32::from(migrates(service));
        let (good, last) = self.schemas.get(service).copied().unwrap_or((first, first));
        let schema = if matches!(kind, Kind::Migrates | Kind::Broken) { last + 1 } else { good };
        let good = if kind == Kind::Migrates { schema } else { good };
        self.schemas.insert(service, (good, schema.max(last)));
        write(&folder, service, (&name, kind, schema))?;
        let publish = format!("service publish {}", folder.join(service).display());
        let release = insist(&self.scene.operator, &publish).await?;
        Ok((name, text(&release, "/digest")?.to_owned()))
    }

    async fn promote(&self, service: &str, digest: &str, plan: &str) -> anyhow::Result<()> {
        let line = format!("release promote {service} {digest} {plan} --accept-loss --no-wait");
        match insist(&self.scene.operator, &line).await {
            // It was, by an attempt whose answer was lost with `releases`.
            Err(cause) if cause.to_string().contains("release_is_current") => {}
            promoted => drop(promoted?),
        }
        self.scene.count("release promoted");
        Ok(())
    }

    async fn goes_back(&self, service: &str) -> anyhow::Result<()> {
        insist(&self.scene.operator, &format!("release rollback {service} --no-wait")).await?;
        self.scene.count("release rolled back");
        Ok(())
    }

    /// Waits until nothing is under way. What has stopped is resumed, or goes back if it is bad.
    async fn arrives(&self, service: &str, kind: Kind) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut is_bad = matches!(kind, Kind::Silent | Kind::Broken);
        loop {
            let status = insist(&self.scene.operator, &format!("release status {service}")).await?;
            match status["rollout"]["state"].as_str() {
                Some("done" | "cancelled" | "rolled_back") | None => break,
                Some("paused") if is_bad => {
                    self.look_at_doors().await?;
                    self.goes_back(service).await?;
                    self.scene.count("bad release called back");
                    is_bad = false;
                }
                Some("paused") => {
                    self.look_at_doors().await?;
                    let failed = status["failed"].as_array().into_iter().flatten();
                    let why: Vec<&str> = failed.filter_map(|it| it["problem"].as_str()).collect();
                    println!("   {service}: resumed after: {}", why.join("; "));
                    let _ = self.scene.operator.run(&format!("release resume {service}")).await?;
                    self.scene.count("release resumed");
                    sleep(LOOK_EVERY * 2).await;
                }
                _ => {}
            }
            if begun.elapsed() > LONGEST {
                bail!("{service} is under way for {} s: {status}", LONGEST.as_secs());
            }
            sleep(LOOK_EVERY).await;
        }
        self.look_at_doors().await
    }

    /// Notes what was closed for longer than requests wait.
    async fn look_at_doors(&self) -> anyhow::Result<()> {
        for host in self.scene.hosts_of("keeper").chain(self.scene.hosts_of("pool")) {
            let shown = insist(&self.scene.owner, &format!("instance show {host}")).await?;
            if shown["last_move"]["closed_millis"].as_u64() > Some(0) {
                self.scene.closed.borrow_mut().insert(host.clone());
            }
        }
        Ok(())
    }

    /// Each instance is on it, and has all that it said it keeps.
    async fn all_are_on(&self, service: &str, name: &str, digest: &str) -> anyhow::Result<()> {
        let wrong = |what: String| self.scene.wrong.borrow_mut().push(what);
        for host in self.scene.hosts_of(service) {
            let shown = insist(&self.scene.owner, &format!("instance show {host}")).await?;
            if text(&shown, "/release")? != digest {
                wrong(format!("{host} is on another release than {name}"));
            }
            let browser = Browser::new(self.scene.port, host);
            let page = browser.read("/").await?.text;
            if !page.contains(&format!("of the {name} release")) {
                wrong(format!("{host} answers as another release than {name}: {page}"));
            }
            if super::keeps(host) {
                // What was said to be kept before it was asked.
                let said = self.scene.seen.borrow().kept.get(host).cloned().unwrap_or_default();
                let notes = browser.read("/notes").await?.text;
                let notes: BTreeSet<&str> =
                    notes.lines().filter_map(|line| line.split('|').next()).collect();
                let lost = said.iter().filter(|it| !notes.contains(it.to_string().as_str()));
                let lost: Vec<&u64> = lost.collect();
                if !lost.is_empty() || !notes.contains("kept") {
                    wrong(format!("{host} has lost {lost:?} of {}", said.len()));
                }
                self.scene.count("databases that were read to the end");
            }
        }
        Ok(())
    }
}

/// Writes the folder of a release.
fn write(
    folder: &Path,
    service: &str,
    (name, kind, schema): (&str, Kind, u32),
) -> anyhow::Result<()> {
    fs::create_dir_all(folder.join(service))?;
    fs::copy(format!("{FOLDER}/{service}/prices.toml"), folder.join(service).join("prices.toml"))?;
    let shape = match kind {
        Kind::Broken => "DROP TABLE note;SELECT nothing".to_owned(),
        _ => format!("ALTER TABLE note ADD COLUMN column{schema} TEXT"),
    };
    let program = fs::read_to_string(format!("{FOLDER}/serve.py"))?;
    let mut program = program.replace("RELEASE = \"first\"", &format!("RELEASE = \"{name}\""));
    if schema > 0 {
        program = program.replace("SHAPE = TABLE + FIRST", &format!("SHAPE = \"{shape}\""));
    }
    if kind == Kind::Silent {
        program = program.replace("serve_forever", "nothing");
    }
    fs::write(folder.join("serve.py"), program)?;
    let manifest = fs::read_to_string(format!("{FOLDER}/{service}/mandate.toml"))?;
    let check = "[run]\ncheck = [\"python3\", \"serve.py\", \"check\"]";
    let manifest = match schema {
        0 => manifest,
        _ => manifest
            .replace("[database]", &format!("[database]\nschema = {schema}"))
            .replace("[run]", check),
    };
    Ok(fs::write(folder.join(service).join("mandate.toml"), manifest)?)
}

/// Asks until the platform answers and can do it.
async fn insist(person: &Person, line: &str) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let output = person.run(&format!("{line} --json")).await?;
        if output.status.success() {
            return serde_json::from_slice(&output.stdout).context("it printed no JSON");
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let is_away = output.status.code() == Some(6);
        if !(is_away || NOT_YET.iter().any(|code| said.contains(code))) || begun.elapsed() > LONGEST
        {
            bail!("`mandate {line}` failed ({}): {said}", output.status);
        }
        sleep(LOOK_EVERY).await;
    }
}
