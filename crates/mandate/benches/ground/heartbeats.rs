//! What twenty nodes cost that beat once a second and have nothing new to say, with few instances
//! and with many.
//!
//! The time is that of this whole process: both ends of each call, every component's loops, and
//! SQLite itself. Beside it stands the same process when no node beats.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{identity::CreateJoinToken, releases::Heartbeat};
use tokio::runtime::Runtime;
use types::AccountId;

use crate::{
    figures::{Series, Table, short},
    folder::Folder,
    herd::{self, Animal, healthy},
    platform::{Platform, route, wait_for},
};

const NODES: u8 = 20;
const INSTANCES: [usize; 3] = [100, 1_000, 10_000];
const ROUNDS: usize = 3;
const SECONDS: u32 = 8;

/// Measures on both engines.
pub(crate) fn measure(house: &Runtime, table: &mut Table) -> anyhow::Result<()> {
    let server = std::env::var("MANDATE_TEST_POSTGRES")
        .context("set MANDATE_TEST_POSTGRES to a server, or use `./x bench heartbeats`")?;
    for name in ["sqlite", "postgres"] {
        let title = format!("{NODES} nodes, a beat a second each, {name}: % of a core");
        table.head(&title, ["nothing new", "p10 – p90 of it", "idle", ""]);
        let folder = Folder::new()?;
        for instances in INSTANCES {
            crate::told(&format!("{instances} instances on {name}"));
            let data = folder.join(instances.to_string());
            let engine = herd::engine(name, &server, &data)?;
            let shares = house.block_on(async {
                let application = "127.0.0.1:1".parse()?;
                let platform = Platform::start(&data, engine, application).await?;
                let mut herd = Herd::gather(&platform, &data, instances).await?;
                let shares = herd.watched().await?;
                platform.end().await;
                anyhow::Ok(shares)
            })?;
            let [idle, brief, full] = shares;
            let beside = format!("told in full {}", short(full.median()));
            let cells = [short(brief.median()), brief.spread(), short(idle.median()), beside];
            crate::told(&format!("{instances} on {name} came to {}", cells.join(", ")));
            table.row(format!("{instances} instances"), cells);
        }
    }
    Ok(())
}

struct Herd(Vec<Animal>);

/// How the nodes say that nothing is new.
#[derive(Clone, Copy)]
enum Manner {
    Silent,
    Brief,
    Full,
}

impl Herd {
    /// Publishes, lets nodes join, opens instances, and has every node say that all is healthy.
    async fn gather(
        platform: &Platform,
        data: &std::path::Path,
        instances: usize,
    ) -> anyhow::Result<Self> {
        let operator = herd::operator(platform, data).await?;
        let release = herd::publish(&operator, herd::MANIFEST).await?;
        let mut herd = Vec::new();
        for number in 0..NODES {
            let token = operator.call(CreateJoinToken {}).await?.token;
            herd.push(Animal::joins(platform, number, token).await?);
        }
        let routes = (0..instances)
            .map(|number| {
                let account = AccountId::named(&["herd"]);
                route(&format!("n{number}.localhost"), account, "herd", release.clone())
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        (platform.put)(routes).await?;
        let herd = tokio::sync::Mutex::new(Self(herd));
        wait_for("everything to be placed", async || {
            let mut herd = herd.lock().await;
            let mut placed = 0;
            for animal in &mut herd.0 {
                animal.desired = animal.client.call(animal.report.clone()).await?;
                placed += animal.desired.replicas.len();
            }
            Ok(placed == instances)
        })
        .await?;
        Ok(herd.into_inner())
    }

    /// Every node says that all it should run is healthy, until nobody is told anything new.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let mut is_settled = false;
        while !is_settled {
            is_settled = true;
            for animal in &mut self.0 {
                animal.report.replicas = animal.desired.replicas.iter().map(healthy).collect();
                let desired = animal.client.call(animal.report.clone()).await?;
                is_settled &= desired.version == animal.desired.version;
                animal.desired = desired;
            }
        }
        Ok(())
    }

    /// The share of a core while no node beats, while they say nothing new, and while they say it
    /// in full as older agents do.
    async fn watched(&mut self) -> anyhow::Result<[Series; 3]> {
        let mut shares: [Series; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (place, manner) in [Manner::Silent, Manner::Brief, Manner::Full].iter().enumerate()
            {
                // Whoever was silent for a round is told again what to run.
                self.settle().await?;
                let before = spent()?;
                for _ in 0..SECONDS {
                    let next = tokio::time::Instant::now() + Duration::from_secs(1);
                    self.beat(*manner).await?;
                    tokio::time::sleep_until(next).await;
                }
                let share = (spent()? - before) / f64::from(SECONDS) * 100.0;
                shares[place].push(share);
            }
        }
        Ok(shares)
    }

    async fn beat(&self, manner: Manner) -> anyhow::Result<()> {
        for animal in &self.0 {
            let known = animal.desired.version;
            let op = match manner {
                Manner::Silent => continue,
                Manner::Full => Heartbeat { known, ..animal.report.clone() },
                Manner::Brief => Heartbeat {
                    known,
                    as_before: animal.desired.report,
                    replicas: Vec::new(),
                    ..animal.report.clone()
                },
            };
            let answer = animal.client.call(op).await?;
            ensure!(answer.version == known, "something is new");
        }
        Ok(())
    }
}

/// Seconds that this process has had a processor.
fn spent() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may hold anything.
    let (_, fields) = text.rsplit_once(") ").context("`/proc/self/stat` has no name")?;
    let ticks: Vec<f64> =
        fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    // A hundredth of a second each, on every Linux that is in use.
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
