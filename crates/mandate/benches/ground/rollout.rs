//! How long a rollout takes that has nothing to migrate: all instances of a shared service at once, from
//! the promotion until each is on the release and every copy says so. What serves there is healthy already.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use api::{
    Client,
    configurator::{Instance, InstanceState, ListInstances, PutInstance},
    identity::CreateJoinToken,
    releases::{
        Heartbeat, ListReleases, ListRollouts, PromoteRelease, ReleaseReport, ReleaseState,
        RolloutPlan, RolloutState,
    },
};
use tokio::{runtime::Runtime, task::JoinHandle};
use types::{Digest, InstanceId, Page};

use crate::{
    figures::{Series, Table, short},
    folder::Folder,
    herd::{self, Animal, healthy},
    platform::{Platform, wait_for},
};

const INSTANCES: [usize; 2] = [100, 1_000];
const ROUNDS: usize = 7;
/// How long a node rests between what it says.
const REST: Duration = Duration::from_millis(50);
/// So often it is asked how far a rollout is: seldom enough to cost nothing that is measured.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(30);

/// Measures on both engines.
pub(crate) fn measure(house: &Runtime, table: &mut Table) -> anyhow::Result<()> {
    let server = std::env::var("MANDATE_TEST_POSTGRES")
        .context("set MANDATE_TEST_POSTGRES to a server, or use `./x bench rollout`")?;
    table.head("all at once, nothing to migrate, ms", ["median", "p10 – p90", "each, µs", ""]);
    for name in ["sqlite", "postgres"] {
        let folder = Folder::new()?;
        for instances in INSTANCES {
            crate::told(&format!("{instances} instances on {name}"));
            let data = folder.join(instances.to_string());
            let engine = herd::engine(name, &server, &data)?;
            let took = house.block_on(async {
                let platform = Platform::start(&data, engine, "127.0.0.1:1".parse()?).await?;
                let took = rounds(&platform, &data, instances).await?;
                platform.end().await;
                anyhow::Ok(took)
            })?;
            let each = u32::try_from(instances)?;
            let each = short(took.median() * 1_000.0 / f64::from(each));
            let cells = [short(took.median()), took.spread(), each, String::new()];
            table.row(format!("{instances} instances on {name}"), cells);
        }
    }
    Ok(())
}

async fn rounds(
    platform: &Platform,
    data: &std::path::Path,
    instances: usize,
) -> anyhow::Result<Series> {
    let operator = herd::operator(platform, data).await?;
    let manifest = herd::MANIFEST.replace("dedicated", "shared");
    herd::publish(&operator, &manifest).await?;
    let token = operator.call(CreateJoinToken {}).await?.token;
    let node = runs(Animal::joins(platform, 0, token).await?);
    let provider = platform.component("provider")?;
    for number in 0..instances {
        provider.call(instance(platform, number)?).await?;
    }
    wait_for("all to be open", async || {
        let all = all(platform).await?;
        Ok(all.len() == instances && all.iter().all(|it| it.state == InstanceState::Open))
    })
    .await?;
    let mut took = Series::default();
    for round in 0..=ROUNDS {
        let release = herd::publish(&operator, &format!("# {round}\n{manifest}")).await?;
        wait_for("its node to have it ready", async || is_ready(&operator, &release).await).await?;
        let time = rollout(&operator, &release).await?;
        let all = all(platform).await?;
        ensure!(all.iter().all(|it| it.release == release), "some are elsewhere");
        // The first is for what is read from the disk once.
        if round > 0 {
            took.push(time.as_secs_f64() * 1_000.0);
        }
    }
    node.abort();
    Ok(took)
}

/// Has a node run what it is told to.
fn runs(node: Animal) -> JoinHandle<anyhow::Result<()>> {
    let Animal { client, mut report, .. } = node;
    tokio::spawn(async move {
        loop {
            let desired = client.call(report.clone()).await?;
            let replicas = desired.replicas.iter().map(healthy).collect();
            let ready = desired.releases.iter().map(|release| ReleaseReport {
                digest: release.digest.clone(),
                service: release.service.clone(),
                state: ReleaseState::Ready,
                log: String::new(),
            });
            let releases = ready.collect();
            report = Heartbeat { replicas, releases, ..report };
            tokio::time::sleep(REST).await;
        }
    })
}

fn instance(platform: &Platform, number: usize) -> anyhow::Result<PutInstance> {
    let host = format!("n{number}.localhost");
    Ok(PutInstance {
        account: platform.customer.account,
        instance: InstanceId::named(&[&host]),
        service: "herd".parse()?,
        host: host.parse()?,
        modules: [].into(),
        size: "small".into(),
    })
}

async fn all(platform: &Platform) -> anyhow::Result<Vec<Instance>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let account = platform.customer.account;
        let list = ListInstances { account, after, limit: Some(500) };
        let page: Page<Instance> = platform.person().call(list).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn is_ready(operator: &Client, release: &Digest) -> anyhow::Result<bool> {
    let list = ListReleases { service: "herd".parse()?, after: None, limit: None };
    let releases = operator.call(list).await?.items;
    let it = releases.into_iter().find(|it| it.digest == *release);
    Ok(it.is_some_and(|it| it.on_nodes.ready > 0))
}

/// From the promotion until each instance is there.
async fn rollout(operator: &Client, release: &Digest) -> anyhow::Result<Duration> {
    let plan = RolloutPlan { at_once: None, ..RolloutPlan::default() };
    let promote = PromoteRelease::new("herd".parse()?, release.clone());
    let began = Instant::now();
    operator.call(PromoteRelease { plan, ..promote }).await?;
    loop {
        let list = ListRollouts { service: "herd".parse()?, after: None, limit: Some(1) };
        let newest = operator.call(list).await?.items.remove(0);
        ensure!(newest.state != RolloutState::Paused, "it has paused: {:?}", newest.problem);
        ensure!(began.elapsed() < LONGEST, "it does not end");
        if newest.state == RolloutState::Done {
            return Ok(began.elapsed());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
