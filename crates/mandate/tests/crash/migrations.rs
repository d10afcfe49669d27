//! The process is killed after each durable step of an instance's way to a release that needs another
//! shape of its database, and of its way back from one whose migration fails. Started again, the
//! instance is on exactly one release, with the database of that one, and its door is open.

use std::time::Duration;

use api::{
    Client, Problem,
    configurator::{GetInstance, InstanceState, SubmitSetup},
    identity::{RegisterAccount, Registered, SignIn},
    provider::{GetOrder, PlaceOrder},
    releases::{
        ListReleases, ListRollouts, PromoteRelease, Release, ReleasePhase, Rollout, RolloutPlan,
        RolloutState,
    },
};
use db::EngineKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use types::{AccountId, Digest, InstanceId, Secret};

use crate::{
    platform::Platform,
    releases::{packed, put_package, service},
    shop::operator,
};

pub(crate) const MANIFEST: &str = include_str!("service/mandate.toml");
pub(crate) const PROGRAM: &str = include_str!("service/run.py");
const HOST: &str = "counter.localhost";

#[tokio::test]
async fn a_migration_survives_a_kill_after_every_ninth_durable_step_on_sqlite() {
    survives_kills("migrates", EngineKind::Sqlite, 9).await;
}

/// What differs from SQLite is below the steps.
#[tokio::test]
async fn a_migration_survives_a_kill_after_every_seventeenth_durable_step_on_postgres() {
    survives_kills("migrates-pg", EngineKind::Postgres, 17).await;
}

#[tokio::test]
async fn the_way_back_survives_a_kill_after_every_thirteenth_durable_step_on_sqlite() {
    leads_back("returns", EngineKind::Sqlite, 13).await;
}

#[tokio::test]
#[ignore = "it takes minutes: `./x soak migrations` runs it"]
async fn a_migration_survives_a_kill_after_each_durable_step() {
    survives_kills("migrates-each", EngineKind::Sqlite, 1).await;
    survives_kills("migrates-each-pg", EngineKind::Postgres, 2).await;
}

#[tokio::test]
#[ignore = "it takes minutes: `./x soak migrations` runs it"]
async fn the_way_back_survives_a_kill_after_each_durable_step() {
    leads_back("returns-each", EngineKind::Sqlite, 1).await;
    leads_back("returns-each-pg", EngineKind::Postgres, 2).await;
}

async fn survives_kills(name: &str, engine: EngineKind, stride: usize) {
    let mut platform = Platform::new(name, engine);
    platform.start().await;
    let shop = Shop::open(&platform).await;
    let mut done = 1;
    let migrate = async |platform: &mut Platform, steps| {
        done += 1;
        let release = shop.stage(platform, done, false).await;
        let killed = platform
            .goes_on(steps, async |platform| {
                let rollout = shop.promoted(platform, &release).await?;
                Ok(rollout.is_some_and(|rollout| rollout.state == RolloutState::Done))
            })
            .await;
        shop.is_on(platform, &release, done).await;
        assert_eq!(platform.instance_databases().await, usize::try_from(done).unwrap());
        killed
    };
    let steps = platform.killed_after_each_step(stride, migrate).await;
    assert!(steps > 15, "a migration has more durable steps than {steps}");
    platform.stop().await;
}

async fn leads_back(name: &str, engine: EngineKind, stride: usize) {
    let mut platform = Platform::new(name, engine);
    platform.start().await;
    let shop = Shop::open(&platform).await;
    let first = shop.current(&platform).await;
    let fail = async |platform: &mut Platform, steps: u64| {
        let schema = u32::try_from(steps).unwrap() + 2;
        let release = shop.stage(platform, schema, true).await;
        let killed = platform
            .goes_on(steps, async |platform| {
                let rollout = shop.promoted(platform, &release).await?;
                Ok(rollout.is_some_and(|rollout| rollout.state == RolloutState::Paused))
            })
            .await;
        shop.is_on(platform, &first, 1).await;
        assert_eq!(platform.instance_databases().await, 1, "nothing of the attempt is left");
        let back = async || Ok::<_, Problem>(shop.promoted(platform, &first).await?.is_some());
        while !back().await.unwrap() {}
        killed
    };
    let steps = platform.killed_after_each_step(stride, fail).await;
    assert!(steps > 15, "a way back has more durable steps than {steps}");
    platform.stop().await;
}

pub(crate) struct Shop {
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    customer: Secret,
    operator: Secret,
}

impl Shop {
    /// An open instance that is on the first release.
    pub(crate) async fn open(platform: &Platform) -> Self {
        let operator = operator(platform).await;
        let client = platform.client(None);
        let (email, password) =
            ("ada@example.com".to_owned(), Secret::new("correct horse battery"));
        let register = RegisterAccount {
            title: "A bakery".to_owned(),
            email: email.clone(),
            password: password.clone(),
        };
        let Registered { account, .. } = client.call(register).await.unwrap();
        let customer = client.call(SignIn { email, password }).await.unwrap().token;
        let mut shop = Self { account, instance: InstanceId::named(&["none"]), customer, operator };
        shop.stage(platform, 1, false).await;
        let client = platform.client(Some(&shop.customer));
        let place = PlaceOrder {
            account,
            service: service(),
            plan: None,
            modules: [].into(),
            size: "small".into(),
            host: HOST.parse().unwrap(),
        };
        let order = client.call_once(place, "order").await.unwrap().order;
        shop.instance = client.call(GetOrder { account, order }).await.unwrap().instance;
        let values = [("title".to_owned(), Secret::new("Buns"))].into();
        let instance = shop.instance;
        let submit = SubmitSetup { account, instance, key: None, values };
        while client.call(submit.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while client.call(GetInstance { account, instance }).await.unwrap().state
            != InstanceState::Open
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        shop
    }

    pub(crate) fn client(&self, platform: &Platform) -> Client {
        platform.client(Some(&self.operator))
    }

    async fn releases(&self, platform: &Platform) -> Vec<Release> {
        let list = ListReleases { service: service(), after: None, limit: Some(2) };
        let listed = self.client(platform).call(list).await;
        listed.map(|page| page.items).unwrap_or_default()
    }

    async fn current(&self, platform: &Platform) -> Digest {
        let releases = self.releases(platform).await;
        releases.into_iter().find(|release| release.current).unwrap().digest
    }

    /// A release whose databases have this shape, if making it does not fail.
    async fn stage(&self, platform: &Platform, schema: u32, fails: bool) -> Digest {
        let manifest = MANIFEST.replace("\"shared\"", "\"dedicated\"");
        let manifest = manifest.replace("[database]", &format!("[database]\nschema = {schema}"));
        let program = PROGRAM.replace("SHAPE = 1", &format!("SHAPE = {schema}"));
        let program =
            program.replace("FAILS = False", if fails { "FAILS = True" } else { "FAILS = False" });
        self.stage_as(platform, manifest, &program, schema == 1).await
    }

    /// A release that is ready, and the current one if it is the first.
    pub(crate) async fn stage_as(
        &self,
        platform: &Platform,
        manifest: String,
        program: &str,
        is_first: bool,
    ) -> Digest {
        let (publish, package) = packed(manifest, &[("run.py", program)]);
        let digest = publish.digest.clone();
        let client = self.client(platform);
        put_package(&client, package).await.unwrap();
        client.call(publish).await.unwrap();
        loop {
            let releases = self.releases(platform).await;
            let ours = releases.iter().find(|release| release.digest == digest);
            let is_ready = ours.is_some_and(|release| {
                assert_ne!(release.phase, ReleasePhase::Failed, "{:?}", release.problem);
                release.phase == ReleasePhase::Staged && release.on_nodes.ready == 1
            });
            if is_ready && (!is_first || ours.is_some_and(|release| release.current)) {
                return digest;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn promoted(
        &self,
        platform: &Platform,
        release: &Digest,
    ) -> Result<Option<Rollout>, Problem> {
        self.promoted_by(platform, release, RolloutPlan::default()).await
    }

    /// Promotes a release if that was not done; answers how far its rollout is.
    pub(crate) async fn promoted_by(
        &self,
        platform: &Platform,
        release: &Digest,
        plan: RolloutPlan,
    ) -> Result<Option<Rollout>, Problem> {
        let client = self.client(platform);
        let list = ListRollouts { service: service(), after: None, limit: Some(1) };
        let newest = client.call(list).await?.items.into_iter().next();
        if let Some(ours) = newest.filter(|rollout| rollout.to == *release) {
            return Ok(Some(ours));
        }
        let promote = PromoteRelease::new(service(), release.clone());
        match client.call(PromoteRelease { plan, ..promote }).await {
            // The node says again what it has, after a start.
            Err(problem) if problem.code == "nodes_not_ready" => Ok(None),
            // The one before has ended as soon as nobody is left to move.
            Err(problem) if problem.code == "rollout_under_way" => Ok(None),
            promoted => promoted.map(|_| None),
        }
    }

    /// The instance is on this release, its door is open, and its database has this shape and all that
    /// the ones before had.
    async fn is_on(&self, platform: &Platform, release: &Digest, schema: u32) {
        let client = platform.client(Some(&self.customer));
        let (account, instance) = (self.account, self.instance);
        let seen = client.call(GetInstance { account, instance }).await.unwrap();
        assert_eq!(&seen.release, release);
        let (_, url) = platform.running.as_ref().unwrap();
        let address = url.strip_prefix("http://").unwrap();
        let ask = format!("GET /shapes HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        let answered = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(ask.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            answer
        };
        let shapes: Vec<String> = (1..=schema).map(|shape| shape.to_string()).collect();
        let wanted = format!("shapes {}.", shapes.join(" "));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let answer = answered().await;
            if answer.contains(&wanted) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "not `{wanted}`: {answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
