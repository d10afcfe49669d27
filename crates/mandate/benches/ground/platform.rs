//! All components in this process, as `mandate up` composes them, on SQLite; a customer who is
//! signed in, and their instance of a service that one application answers for.

use std::{future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::ensure;
use api::{
    Client,
    access::{CatalogueEntry, PromoteCatalogue, PutCatalogue},
    configurator::{InstanceState, Route},
    identity::{RegisterAccount, SignIn},
    manifest::Manifest,
    releases::{ReplicaAddress, ServiceRelease},
};
use chassis::{Caller, House, HouseConfig, Room};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::task::JoinSet;
use types::{
    AccountId, Digest, InstanceId, NodeId, Permission, Principal, ReplicaId, Resource, Secret,
    SystemClock, UserId,
};

/// Where the instance is.
pub(crate) const HOST: &str = "forum.localhost";
const MANIFEST: &str = include_str!("service.toml");
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const EMAIL: &str = "ada@example.com";

pub(crate) struct Platform {
    pub(crate) house: House,
    pub(crate) customer: Customer,
    /// Puts instances into the configurator's feed.
    pub(crate) put: Put,
    loops: std::sync::Mutex<Option<JoinSet<()>>>,
}

type Put = Box<dyn Fn(Vec<Route>) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// The owner of the account and of its instance.
pub(crate) struct Customer {
    pub(crate) account: AccountId,
    pub(crate) principal: Principal,
    pub(crate) token: Secret,
    pub(crate) instance: InstanceId,
}

impl Customer {
    pub(crate) fn resource(&self) -> Resource {
        Resource::Instance(self.account, self.instance)
    }

    /// An instance of theirs at `host`.
    pub(crate) fn route(&self, host: &str) -> anyhow::Result<Route> {
        route(host, self.account, "forum", release())
    }
}

/// An open instance of `service` at `host`.
pub(crate) fn route(
    host: &str,
    account: AccountId,
    service: &str,
    release: Digest,
) -> anyhow::Result<Route> {
    Ok(Route {
        instance: InstanceId::named(&[host]),
        account,
        service: service.parse()?,
        host: host.parse()?,
        modules: std::collections::BTreeSet::new(),
        size: "small".into(),
        release,
        state: InstanceState::Open,
        suspended: None,
        maintenance: None,
        setup_key: None,
        rotations: 0,
        schema: 0,
        frozen_until: None,
        moving: None,
    })
}

impl Platform {
    pub(crate) async fn start(
        data: &Path,
        engine: db::Engine,
        application: SocketAddr,
    ) -> anyhow::Result<Self> {
        let house = House::open(HouseConfig {
            name: "main".into(),
            data: data.to_owned(),
            engine: engine.clone(),
            clock: Arc::new(SystemClock),
        })?;
        let mail = identity::Mail::new(data.join("mail"), "mandate@localhost", None)?;
        let (console_url, join_url) = (String::new(), None);
        let identity = identity::Config {
            data: data.to_owned(),
            mail,
            users_max: 1_000,
            hash_memory_kib: identity::Config::HASH_MEMORY_KIB,
            console_url,
            join_url,
        };
        house.mount(identity::component(identity, house.signer("identity")?)).await?;
        house.mount(access::component(access::Config { grants_max: 5_000 })).await?;
        house.mount(provider::component(provider::Config { domain: "localhost".into() })).await?;
        house.mount(billing::component()).await?;
        house.mount(jobs::component()).await?;
        let config = configurator::Config {
            engine: engine.clone(),
            site: types::Site::http(8080),
            mail: None,
            snapshot_max: None,
        };
        let instances = house.mount(configurator::component(config)).await?;
        let packages = releases::Storage::folder(data.join("packages"));
        let config = releases::Config { packages, engine: engine.kind(), move_after: None };
        let fleet = house.mount(releases::component(config, house.signer("releases")?)).await?;
        let loops = house.start("gateway")?;
        let customer = customer(&house).await?;

        // What the gateway knows comes by the real feeds; how it got there is not measured here.
        let manifest = Manifest::parse("service.toml", MANIFEST);
        let manifest = manifest.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
        publish(&house, &manifest).await?;
        let mut write = instances.begin().await?;
        write.put(&customer.route(HOST)?).await?;
        write.commit().await?;
        let mut write = fleet.begin().await?;
        write.put(&replica(application)?).await?;
        let digest = release();
        let service = manifest.service.name.clone();
        write.put(&ServiceRelease { service, digest, manifest }).await?;
        write.commit().await?;
        let loops = std::sync::Mutex::new(Some(loops));
        let put: Put = Box::new(move |routes| put(instances.clone(), routes).boxed());
        Ok(Self { house, customer, put, loops })
    }

    /// Asks as the component `name`.
    pub(crate) fn component(&self, name: &'static str) -> anyhow::Result<Client> {
        Ok(self.house.client(name)?)
    }

    /// Asks as the customer.
    pub(crate) fn person(&self) -> Client {
        self.house.visitor().with_token(Some(self.customer.token.reveal()))
    }

    pub(crate) async fn end(&self) {
        let loops = self.loops.lock().map(|mut loops| loops.take());
        if let Ok(Some(mut loops)) = loops {
            loops.shutdown().await;
        }
        self.house.close().await;
    }
}

async fn put<S: Send + Sync>(room: Room<S>, routes: Vec<Route>) -> anyhow::Result<()> {
    let mut write = room.begin().await?;
    for route in &routes {
        write.put(route).await?;
    }
    Ok(write.commit().await?)
}

async fn customer(house: &House) -> anyhow::Result<Customer> {
    let visitor = house.visitor();
    wait_for("the copies of grants and sessions", async || Ok(house.guard().is_fresh())).await?;
    let registered = visitor
        .call(RegisterAccount {
            title: "The bakery".into(),
            email: EMAIL.into(),
            password: Secret::new(PASSWORD),
        })
        .await?;
    let password = Secret::new(PASSWORD);
    let signed_in = visitor.call(SignIn { email: EMAIL.into(), password }).await?;
    let customer = Customer {
        account: registered.account,
        principal: Principal::User(registered.user),
        token: signed_in.token,
        instance: InstanceId::named(&[HOST]),
    };
    owns(house, registered.user, registered.account).await?;
    Ok(customer)
}

/// Returns once the grant that makes the first user the account's owner is known here.
async fn owns(house: &House, user: UserId, account: AccountId) -> anyhow::Result<()> {
    let caller =
        Caller { principal: Principal::User(user), account: Some(account), ..Caller::VISITOR };
    let on = Resource::Account(account);
    let allowed = || house.guard().authorize(&caller, "access.checkPermission", &on).is_ok();
    wait_for("the owner's grant", async || Ok(allowed())).await
}

async fn publish(house: &House, manifest: &Manifest) -> anyhow::Result<()> {
    let service = manifest.service.name.clone();
    let named = |verb: &str| format!("{service}.{verb}").parse::<Permission>();
    let mut permissions = Vec::new();
    for (verb, entry) in &manifest.permissions {
        let (permission, title) = (named(verb)?, entry.title.clone());
        permissions.push(CatalogueEntry { permission, title, level: entry.level });
    }
    let (releases, release) = (house.client("releases")?, types::Digest::of(b"forum"));
    let (put, promoted) = (release.clone(), service.clone());
    releases.call(PutCatalogue { service, release: put, permissions }).await?;
    releases.call(PromoteCatalogue { service: promoted, release, turn: 1 }).await?;
    wait_for("the catalogue", async || Ok(house.guard().knows("forum.addUsers"))).await
}

fn release() -> Digest {
    Digest::of(MANIFEST.as_bytes())
}

fn replica(application: SocketAddr) -> anyhow::Result<ReplicaAddress> {
    Ok(ReplicaAddress {
        process: "web".to_owned(),
        replica: ReplicaId::named(&["one"]),
        service: "forum".parse()?,
        release: Some(release()),
        instance: None,
        account: None,
        node: NodeId::named(&["node"]),
        address: application.to_string(),
        silent: false,
        unproven: false,
    })
}

/// Asks every five milliseconds, for at most half a minute.
pub(crate) async fn wait_for<F: Future<Output = anyhow::Result<bool>>>(
    what: &str,
    is_so: impl Fn() -> F,
) -> anyhow::Result<()> {
    let waiting = async {
        while !is_so().await? {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::Ok(())
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    ensure!(waited.is_ok(), "waited half a minute in vain for {what}");
    waited?
}
