//! What a customer of the first house had is there in this one.
//!
//! `first_house/` is what the program of commit `ed68d34` left after a publication, an order that
//! was set up, one that waits for it, a grant and three requests: each component's tables, with
//! the keys, which belong to nothing but this test. The same statements are read by both engines.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use api::{
    Client,
    access::ListGrants,
    billing::GetBill,
    configurator::{GetInstance, InstanceState, ListInstances, ReadSnapshot, Route, SubmitSetup},
    identity::{ListUsers, WhoAmI},
    jobs::{JobState, ListInstanceJobs},
    provider::{ListOrders, OrderPhase, PlaceOrder},
    releases::{ListNodes, ListReleases, Release, ReleasePhase},
};
use chassis::HouseConfig;
use db::{EngineKind, Migration};
use types::{AccountId, InstanceId};

use crate::world::{PASSWORD, World, eventually, secrets};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/components/first_house");
const SESSION: &str = include_str!("first_house/session.txt");
/// Some minutes after the first house was left.
const MOMENT: &str = "2026-11-26T00:40:00Z";
const ADA: &str = "user_01m8am7t94e4crst39ye26k19w";
const ACCOUNT: &str = "acct_01m8am7t94ejzrv2ey2tth2tmf";
const BAKERY: &str = "inst_01m8am7trtencb33jaw715f8fn";
const SHOP: &str = "inst_01m8am7vssey2rb3yk0ar2g2qs";

#[tokio::test]
async fn what_the_first_house_knew_is_known_on_sqlite() {
    Box::pin(is_known(EngineKind::Sqlite)).await;
}

#[tokio::test]
async fn what_the_first_house_knew_is_known_on_postgres() {
    Box::pin(is_known(EngineKind::Postgres)).await;
}

async fn is_known(kind: EngineKind) {
    let world = World::start_on(module_path!(), kind, MOMENT, async |config| {
        move_in(config).await;
    });
    let world = Box::pin(world).await;
    let account: AccountId = ACCOUNT.parse().unwrap();
    let ada = world.visitor().with_token(Some(SESSION.trim()));
    people_and_grants(&world, &ada, account).await;
    instances_and_jobs(&world, &ada, account).await;
    let bill = ada.call(GetBill { account, month: None }).await.unwrap();
    let requests = bill.lines.iter().find(|line| line.line.ends_with("meter.requests")).unwrap();
    assert_eq!(
        (requests.quantity.to_string().as_str(), requests.host.as_str()),
        ("3", "bakery.localhost")
    );
    assert_eq!(requests.amount.to_string(), "0.20 USD");
    assert!(bill.lines.iter().any(|line| line.host.as_str() == "shop.localhost"));
    releases(&world).await;
    it_goes_on(&ada, account).await;
    world.end().await;
}

/// Lays the keys and the tables where the platform finds them.
async fn move_in(config: &HouseConfig) {
    std::fs::create_dir_all(config.data.join("keys")).unwrap();
    for name in ["master.key", "operator.txt"] {
        copy(&Path::new(FOLDER).join(name), &config.data.join(name));
    }
    for key in std::fs::read_dir(Path::new(FOLDER).join("keys")).unwrap() {
        let key = key.unwrap();
        copy(&key.path(), &config.data.join("keys").join(key.file_name()));
    }
    let house = chassis::House::open(config.clone()).unwrap();
    for component in api::COMPONENTS {
        let sql = std::fs::read_to_string(format!("{FOLDER}/{component}.dump")).unwrap();
        let rows = [Migration { name: "first_house", sql: sql.leak() }];
        let password = house.database_password(component);
        config.engine.open(component, &password, &[&rows]).await.unwrap().close().await;
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600)).unwrap();
}

async fn people_and_grants(world: &World, ada: &Client, account: AccountId) {
    let me = ada.call(WhoAmI {}).await.unwrap();
    assert_eq!(me.user.unwrap().user.to_string(), ADA, "the session goes on");
    world.sign_in("ada@bakery.example", PASSWORD).await.unwrap();
    world.operator().await.call(WhoAmI {}).await.unwrap();
    let users = ada.call(ListUsers { account, after: None, limit: None }).await.unwrap().items;
    let emails: Vec<&str> = users.iter().map(|user| user.email.as_str()).collect();
    assert_eq!(emails, ["ada@bakery.example", "ben@bakery.example"]);
    let grants = ada.call(ListGrants { account, after: None, limit: None }).await.unwrap().items;
    let mut given: Vec<String> = grants.iter().map(|grant| grant.given.to_string()).collect();
    given.sort();
    assert_eq!(given, ["notes.write", "owner"]);
}

async fn instances_and_jobs(world: &World, ada: &Client, account: AccountId) {
    let orders = ada.call(ListOrders { account, after: None, limit: None }).await.unwrap().items;
    assert_eq!(orders.len(), 2);
    assert!(
        orders.iter().all(|order| order.phase == OrderPhase::Complete && order.plan == "basic")
    );
    let list = ListInstances { account, after: None, limit: None };
    assert_eq!(ada.call(list).await.unwrap().items.len(), 2);
    let get = |id: &str| GetInstance { account, instance: id.parse().unwrap() };
    let bakery = ada.call(get(BAKERY)).await.unwrap();
    assert_eq!((bakery.state, bakery.host.as_str()), (InstanceState::Open, "bakery.localhost"));
    assert_eq!(bakery.modules, ["polls".to_owned()].into());
    assert_eq!(ada.call(get(SHOP)).await.unwrap().state, InstanceState::AwaitingSetup);
    let jobs = ada.call(jobs_of(account, BAKERY)).await.unwrap().items;
    let mut names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["migrate", "seed"]);
    assert!(jobs.iter().all(|job| job.state == JobState::Succeeded));
    let snapshot = world.component("gateway").call(ReadSnapshot { after: None }).await.unwrap();
    let routes = snapshot.documents.into_iter().filter(|document| document.topic == "route");
    let read = |route: api::feed::Change| serde_json::from_value::<Route>(route.body.unwrap());
    let routes: Vec<Route> = routes.map(|route| read(route).unwrap()).collect();
    assert_eq!(routes.len(), 2, "gateways are told of both");
    for route in routes {
        let get = GetInstance { account, instance: route.instance };
        assert_eq!(ada.call(get).await.unwrap().release, route.release);
    }
}

async fn releases(world: &World) {
    let operator = world.operator().await;
    let list = ListReleases { service: "notes".parse().unwrap(), after: None, limit: None };
    let ask = async || operator.call(list.clone()).await.unwrap().items.remove(0);
    let is_published = |release: &Release| release.current && release.phase == ReleasePhase::Staged;
    eventually("what was on its way is published", ask, is_published).await;
    assert_eq!(operator.call(ListNodes::default()).await.unwrap().items.len(), 1);
}

fn jobs_of(account: AccountId, instance: &str) -> ListInstanceJobs {
    let (instance, state, name) = (instance.parse().unwrap(), None, None);
    ListInstanceJobs { account, instance, state, name, after: None, limit: None }
}

/// What waited is set up, and what is on offer is sold.
async fn it_goes_on(ada: &Client, account: AccountId) {
    let instance: InstanceId = SHOP.parse().unwrap();
    let values = secrets(&[("title", "Bread")]);
    ada.call(SubmitSetup { account, instance, key: None, values }).await.unwrap();
    let jobs = async || ada.call(jobs_of(account, SHOP)).await.unwrap().items;
    eventually("its jobs are queued", jobs, |jobs| jobs.len() == 2).await;
    let place = PlaceOrder {
        account,
        service: "notes".parse().unwrap(),
        plan: None,
        modules: [].into(),
        size: "small".into(),
        host: "third.localhost".parse().unwrap(),
    };
    let instance = ada.call(place).await.unwrap().instance;
    let look = async || ada.call(GetInstance { account, instance }).await;
    let waits = |seen: &Result<api::configurator::Instance, _>| {
        seen.as_ref().is_ok_and(|seen| seen.state == InstanceState::AwaitingSetup)
    };
    eventually("the third waits for its set-up", look, waits).await.unwrap();
}
