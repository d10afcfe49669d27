//! A platform without gateway and agent, and the people, machines and services around it.

use std::{
    cell::Cell,
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::{
    Client, Problem,
    configurator::Route,
    http::token::{self, Claims},
    identity::{JoinNode, RegisterAccount, SignIn},
    releases::{
        ListNodes, NodeServices, Placement, PromoteRelease, PublishRelease, PutPackage,
        PutPackagePart, Release, ReleasePhase, Rollout, signed_text,
    },
};
use chassis::{House, HouseConfig, Room};
use db::{Engine, EngineKind};
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::task::JoinSet;
use types::{
    AccountId, Clock, Digest, InstanceId, ManualClock, Name, NodeId, Principal, Secret, SessionId,
    UserId,
};

/// Each story is told on both engines.
macro_rules! stories {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: &World) $body:block)+) => {$(
        mod $name {
            #[expect(clippy::allow_attributes, reason = "not every story uses what its file does")]
            #[allow(unused_imports, reason = "not every story uses what its file does")]
            use super::*;

            $(#[$meta])*
            async fn story($world: &crate::world::World) $body

            #[tokio::test]
            async fn sqlite() {
                let world = crate::world::World::start(module_path!(), db::EngineKind::Sqlite).await;
                story(&world).await;
                world.end().await;
            }

            #[tokio::test]
            async fn postgres() {
                let world = crate::world::World::start(module_path!(), db::EngineKind::Postgres).await;
                story(&world).await;
                world.end().await;
            }
        }
    )+};
}

/// A password that is long enough.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A manifest and a price book for `name`, a service that never has to run.
pub(crate) const MANIFEST: &str = include_str!("service.toml");
pub(crate) const PRICES: &str = include_str!("prices.toml");

/// So many users and grants an account may have.
pub(crate) const USERS_MAX: u64 = 4;
pub(crate) const GRANTS_MAX: u64 = 22;

pub(crate) struct World {
    pub(crate) house: House,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Engine,
    pub(crate) data: PathBuf,
    /// Billing's own tables.
    pub(crate) billing: db::Db,
    /// Ends an instance as far as the configurator's feed tells of it.
    pub(crate) ends: Ends,
    /// Says what runs where, as far as the feed of releases tells of it.
    plans: Plans,
    /// Has `jobs` look at the clock now.
    wakes_jobs: Box<dyn Fn()>,
    loops: JoinSet<()>,
}

type Ends = Box<dyn Fn(InstanceId) -> BoxFuture<'static, ()>>;
type Plans = Box<dyn Fn(Plan) -> BoxFuture<'static, ()>>;

/// What is planned.
enum Plan {
    Node(NodeServices),
    Instance(Placement),
}

/// Somebody who is signed in.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) account: AccountId,
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

impl Person {
    pub(crate) fn principal(&self) -> Principal {
        Principal::User(self.user)
    }
}

impl World {
    /// A platform whose clock stands at the beginning of a month.
    pub(crate) async fn start(test: &str, kind: EngineKind) -> Self {
        Box::pin(Self::start_on(test, kind, "2026-12-01T00:00:00Z", async |_| {})).await
    }

    /// A platform that finds what `before` has left.
    pub(crate) async fn start_on(
        test: &str,
        kind: EngineKind,
        moment: &str,
        before: impl AsyncFnOnce(&HouseConfig),
    ) -> Self {
        let name = test.replace("::", "-");
        let data =
            std::env::temp_dir().join(format!("mandate-{}-{name}-{kind}", std::process::id()));
        Self::start_in(data, kind, moment, before).await
    }

    /// A platform in the folder `data`, after which its databases are called.
    pub(crate) async fn start_in(
        data: PathBuf,
        kind: EngineKind,
        moment: &str,
        before: impl AsyncFnOnce(&HouseConfig),
    ) -> Self {
        let _ = tracing_subscriber::fmt().with_env_filter("warn").with_test_writer().try_init();
        let engine = match kind {
            EngineKind::Sqlite => Engine::sqlite(data.join("databases")),
            EngineKind::Postgres => postgres(&data),
        };
        let clock = Arc::new(ManualClock::at(moment.parse().unwrap()));
        let config = HouseConfig {
            name: "main".into(),
            data: data.clone(),
            engine: engine.clone(),
            clock: Arc::<ManualClock>::clone(&clock),
        };
        before(&config).await;
        let house = House::open(config).unwrap();
        let identity = identity_config(&data);
        let access = access::Config { grants_max: GRANTS_MAX };
        let configurator = configurator_config(&engine);
        let releases = releases::Config {
            packages: releases::Storage::folder(data.join("packages")),
            engine: kind,
            move_after: Some(releases::MOVE_AFTER),
        };
        let provider = provider::Config { domain: "localhost".into() };
        let [signer, tickets] = ["identity", "releases"].map(|name| house.signer(name).unwrap());
        let (tables, ends) = (Cell::new(None), Cell::new(None));
        let (plans, planner, wakes) = (Cell::new(None), Cell::new(None), Cell::new(None));
        let (one, two, three, four, five, six, seven) = tokio::join!(
            async { house.mount(identity::component(identity, signer)).await.map(drop) },
            async { house.mount(access::component(access)).await.map(drop) },
            async { house.mount(provider::component(provider)).await.map(drop) },
            async {
                let room = house.mount(configurator::component(configurator)).await?;
                ends.set(Some(
                    Box::new(move |instance| end(room.clone(), instance).boxed()) as Ends
                ));
                Ok(())
            },
            async {
                let room = house.mount(billing::component()).await?;
                tables.set(Some(room.db().clone()));
                Ok(())
            },
            async {
                let room = house.mount(jobs::component()).await?;
                wakes.set(Some(Box::new(move || room.nudge()) as Box<dyn Fn()>));
                Ok(())
            },
            async {
                let room = house.mount(releases::component(releases, tickets)).await?;
                planner.set(Some(room.db().clone()));
                plans.set(Some(Box::new(move |new| plan(room.clone(), new).boxed()) as Plans));
                Ok(())
            },
        );
        for room in [one, two, three, four, five, six, seven] {
            room.unwrap();
        }
        let loops = house.start("gateway").unwrap();
        let (billing, ends) = (tables.take().unwrap(), ends.take().unwrap());
        let (plans, wakes_jobs) = (plans.take().unwrap(), wakes.take().unwrap());
        let world = Self { house, clock, engine, data, billing, ends, plans, wakes_jobs, loops };
        until("the copies are fresh", async || world.house.guard().is_fresh()).await;
        is_followed(&planner.take().unwrap()).await;
        world
    }

    /// Time passes, and `jobs` notices at once; others do within some seconds.
    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
        (self.wakes_jobs)();
    }

    /// Ends, and leaves what another one can begin with.
    pub(crate) async fn close(mut self) -> PathBuf {
        self.loops.shutdown().await;
        self.house.close().await;
        self.data
    }

    /// Leaves nothing behind.
    pub(crate) async fn end(self) {
        let engine = self.engine.clone();
        let data = self.close().await;
        engine.remove_all().await.unwrap();
        std::fs::remove_dir_all(data).unwrap();
    }

    /// Another process on the same data, as far as one process can be two.
    pub(crate) fn another_house(&self, name: &str) -> House {
        let config = HouseConfig {
            name: name.into(),
            data: self.data.clone(),
            engine: self.engine.clone(),
            clock: self.house.clock(),
        };
        House::open(config).unwrap()
    }

    /// The platform as a component sees it.
    pub(crate) fn component(&self, name: &'static str) -> Client {
        self.house.client(name).unwrap()
    }

    /// The platform as nobody in particular sees it.
    pub(crate) fn visitor(&self) -> Client {
        self.house.visitor()
    }

    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: &str,
    ) -> Result<api::identity::SignedIn, Problem> {
        let (email, password) = (email.to_owned(), Secret::new(password));
        self.visitor().call(SignIn { email, password }).await
    }

    /// A new account whose first user is `name`.
    pub(crate) async fn sign_up(&self, name: &str) -> Person {
        let email = format!("{name}@example.com");
        let registered = self
            .visitor()
            .call(RegisterAccount {
                title: format!("The house of {name}"),
                email: email.clone(),
                password: Secret::new(PASSWORD),
            })
            .await
            .unwrap();
        let signed_in = self.sign_in(&email, PASSWORD).await.unwrap();
        Person {
            client: self.visitor().with_token(Some(signed_in.token.reveal())),
            account: registered.account,
            user: registered.user,
            session: signed_in.session,
        }
    }

    /// The same person in a new session.
    pub(crate) async fn sign_in_again(&self, person: &Person, name: &str) -> Person {
        let signed_in = self.sign_in(&format!("{name}@example.com"), PASSWORD).await.unwrap();
        Person {
            client: self.visitor().with_token(Some(signed_in.token.reveal())),
            account: person.account,
            user: person.user,
            session: signed_in.session,
        }
    }

    /// The platform as the operator sees it.
    pub(crate) async fn operator(&self) -> Client {
        let file = std::fs::read_to_string(self.data.join("operator.txt")).unwrap();
        let line = |start: &str| {
            file.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned()
        };
        let signed_in = self.sign_in(&line("e-mail: "), &line("password: ")).await.unwrap();
        self.visitor().with_token(Some(signed_in.token.reveal()))
    }

    /// A machine that has joined and may run what the tests' services are, and the platform as it
    /// sees it.
    pub(crate) async fn node(&self, name: &str) -> (NodeId, Client) {
        let (node, client) = self.joined(name).await;
        self.runs(node, name, &["forum", "store"]).await;
        (node, client)
    }

    /// Says which services a node runs for all their instances. A node that is heard of runs what
    /// releases says in place of this.
    pub(crate) async fn runs(&self, node: NodeId, name: &str, services: &[&str]) {
        let services = services.iter().map(|name| name.parse().unwrap()).collect();
        let name = name.parse().unwrap();
        (self.plans)(Plan::Node(NodeServices { node, name, services, drains: false })).await;
    }

    /// Says where an instance is; wherever its service runs if that is no node.
    pub(crate) async fn place(
        &self,
        (account, instance): (AccountId, InstanceId),
        service: &str,
        node: Option<NodeId>,
    ) {
        let service = service.parse().unwrap();
        let placement = Placement { instance, account, service, node, former: None };
        (self.plans)(Plan::Instance(placement)).await;
    }

    /// A machine that has joined, and the platform as it sees it.
    pub(crate) async fn joined(&self, name: &str) -> (NodeId, Client) {
        let join = async || {
            // The token in the file is for one machine, and soon there is another one.
            let join_token = std::fs::read_to_string(self.data.join("join-token")).unwrap();
            self.join(name, Secret::new(join_token.trim())).await
        };
        let is_known = |joined: &Result<_, Problem>| {
            !joined.as_ref().is_err_and(|refused| refused.code == "join_token_refused")
        };
        eventually("a token for one more machine", join, is_known).await.unwrap()
    }

    /// A machine that joins with a token of its own.
    pub(crate) async fn join(
        &self,
        name: &str,
        join_token: Secret,
    ) -> Result<(NodeId, Client), Problem> {
        let key = SigningKey::from_bytes(&seed(name));
        let public_key = chassis::hex(key.verifying_key().as_bytes());
        let join = JoinNode { join_token, name: name.parse().unwrap(), public_key };
        let node = self.visitor().call(join).await?.node;
        let credentials = NodeCredentials { node, key, clock: Arc::clone(&self.clock) };
        let transport = Arc::new(self.house.directory().clone());
        Ok((node, Client::new(transport, Arc::new(credentials))))
    }

    /// Publishes a release of `service` with the texts of this folder, `note` making it another.
    pub(crate) async fn publish(&self, service: &str, note: &str) -> Release {
        self.publish_more(service, note, "").await
    }

    /// Publishes a service whose manifest says more.
    pub(crate) async fn publish_more(&self, service: &str, note: &str, more: &str) -> Release {
        let manifest = format!("# {note}\n{}{more}", MANIFEST.replace("NAME", service));
        let prices = PRICES.replace("NAME", service);
        let ask = async || self.publish_texts(service, &manifest, &prices).await.unwrap();
        eventually("everybody is told", ask, |release| release.current).await
    }

    /// Publishes a release and makes it the current one, whether or not nodes have it ready.
    pub(crate) async fn publish_texts(
        &self,
        service: &str,
        manifest: &str,
        prices: &str,
    ) -> Result<Release, Problem> {
        let release = self.stage_texts(service, manifest, prices).await?;
        if release.current || release.phase != ReleasePhase::Staged {
            return Ok(release);
        }
        self.promote(&release).await?;
        Ok(Release { current: true, ..release })
    }

    /// Promotes a release, whether or not nodes have it ready.
    pub(crate) async fn promote(&self, release: &Release) -> Result<Rollout, Problem> {
        let (service, digest) = (release.service.clone(), release.digest.clone());
        self.promote_as(PromoteRelease::new(service, digest)).await
    }

    /// The same as somebody asks for it.
    pub(crate) async fn promote_as(&self, promote: PromoteRelease) -> Result<Rollout, Problem> {
        let operator = self.operator().await;
        let nodes = operator.call(ListNodes::default()).await?.items;
        let without = nodes.into_iter().map(|node| node.node).collect();
        let promote = PromoteRelease { without, ..promote };
        // The one before has ended as soon as nobody is left to move.
        let ask = async || operator.call(promote.clone()).await;
        let is_answered = |answer: &Result<Rollout, Problem>| {
            answer.as_ref().err().is_none_or(|problem| problem.code != "rollout_under_way")
        };
        eventually("the rollout before has ended", ask, is_answered).await
    }

    /// Publishes a release, which is current only if it is the first.
    pub(crate) async fn stage_texts(
        &self,
        service: &str,
        manifest: &str,
        prices: &str,
    ) -> Result<Release, Problem> {
        let publisher = format!("publisher of {service}");
        self.stage_signed(service, (manifest, prices), &publisher).await
    }

    /// The same, signed by this publisher's key.
    pub(crate) async fn stage_signed(
        &self,
        service: &str,
        (manifest, prices): (&str, &str),
        publisher: &str,
    ) -> Result<Release, Problem> {
        let operator = self.operator().await;
        let package = package(&[("mandate.toml", manifest), ("prices.toml", prices)]);
        let digest = Digest::of(&package);
        put_package(&operator, &package).await?;
        let service: Name = service.parse().unwrap();
        let key = SigningKey::from_bytes(&seed(publisher));
        let signature = key.sign(signed_text(&service, &digest).as_bytes());
        let publish = PublishRelease {
            service,
            digest,
            manifest: manifest.to_owned(),
            prices: prices.to_owned(),
            public_key: chassis::hex(key.verifying_key().as_bytes()),
            signature: chassis::hex(&signature.to_bytes()),
            source: None,
        };
        operator.call(publish).await
    }
}

/// Sends a small package.
pub(crate) async fn put_package(operator: &Client, package: &[u8]) -> Result<(), Problem> {
    let (digest, bytes) = (Digest::of(package), package.len() as u64);
    let part = PutPackagePart { digest: digest.clone(), offset: 0 };
    operator.upload(part, package.to_vec().into()).await?;
    operator.call(PutPackage { digest, bytes }).await.map(drop)
}

/// Waits until whoever gives nodes what they need follows what is planned.
async fn is_followed(planner: &db::Db) {
    until("the plan is followed", async || {
        let query = db::query("select follower from feed_follower");
        let all = query.all(planner, |row| row.get::<String>("follower")).await.unwrap();
        ["identity", "configurator", "jobs"]
            .iter()
            .all(|name| all.iter().any(|follower| follower.starts_with(&format!("main.{name}#"))))
    })
    .await;
}

fn configurator_config(engine: &Engine) -> configurator::Config {
    configurator::Config {
        engine: engine.clone(),
        site: types::Site::http(8080),
        mail: None,
        snapshot_max: Some(SNAPSHOT_MAX),
    }
}

fn identity_config(data: &std::path::Path) -> identity::Config {
    identity::Config {
        data: data.to_owned(),
        mail: identity::Mail::new(data.join("mail"), "mandate@example.com", None).unwrap(),
        users_max: USERS_MAX,
        // Nobody guesses here, and everybody signs in.
        hash_memory_kib: 8,
        console_url: "http://console.localhost:8080".to_owned(),
        join_url: Some("http://10.0.0.4:8080".to_owned()),
    }
}

async fn plan<S>(room: Room<S>, plan: Plan) {
    let mut write = room.begin().await.unwrap();
    match plan {
        Plan::Node(services) => write.put(&services).await.unwrap(),
        Plan::Instance(placement) => write.put(&placement).await.unwrap(),
    };
    write.wait_for_copies();
    write.commit().await.unwrap();
}

async fn end<S>(room: Room<S>, instance: InstanceId) {
    let mut write = room.begin().await.unwrap();
    write.remove::<Route>(&instance.to_string()).await.unwrap();
    write.commit().await.unwrap();
}

/// No larger database of an instance is copied.
pub(crate) const SNAPSHOT_MAX: u64 = 64 << 20;

/// Nothing that is waited for takes longer, also on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits for something that will be true soon.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}

/// The answer, once it is one that was waited for.
pub(crate) async fn eventually<T, F: Future<Output = T>>(
    what: &str,
    ask: impl Fn() -> F,
    is_it: impl Fn(&T) -> bool,
) -> T {
    let answer = std::cell::Cell::new(None);
    until(what, async || {
        let seen = ask().await;
        let so = is_it(&seen);
        answer.set(Some(seen));
        so
    })
    .await;
    answer.into_inner().unwrap()
}

/// Words, for fields that are secret.
pub(crate) fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect()
}

/// A tar of files, compressed.
pub(crate) fn package(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// The public key of a publisher.
pub(crate) fn public_key(publisher: &str) -> String {
    chassis::hex(SigningKey::from_bytes(&seed(publisher)).verifying_key().as_bytes())
}

fn seed(name: &str) -> [u8; 32] {
    let digest = Digest::of(name.as_bytes());
    chassis::unhex(digest.hex()).unwrap()
}

fn postgres(data: &Path) -> Engine {
    let digest = Digest::of(data.as_os_str().as_encoded_bytes());
    db::testing::postgres(&format!("t{}", digest.short()))
}

struct NodeCredentials {
    node: NodeId,
    key: SigningKey,
    clock: Arc<ManualClock>,
}

impl api::Credentials for NodeCredentials {
    fn bearer(&self, audience: &str) -> Option<Arc<str>> {
        let (sub, life) = (Principal::Node(self.node), Duration::from_mins(1));
        let claims = Claims::new(sub, audience, self.clock.now(), life);
        Some(token::sign(&self.node.to_string(), &self.key, &claims).into())
    }
}
