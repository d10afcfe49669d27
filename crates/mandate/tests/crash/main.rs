//! The process is killed after each durable step of an order in turn. Started again, it completes
//! the order once: one instance, one database, one billing cycle, set up once. The same is told of
//! publications and of jobs.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod bucket;
mod jobs;
mod migrations;
mod platform;
mod releases;
mod shop;
mod workers;

use std::time::Duration;

use api::{
    Client, Problem,
    billing::{GetBill, LineKind},
    configurator::{GetInstance, GetSetup, Instance, InstanceState, ListInstances, SubmitSetup},
    identity::{RegisterAccount, Registered, SignIn},
    jobs::{JobState, ListInstanceJobs},
    provider::{GetOrder, ListOrders, Order, OrderPhase, PlaceOrder},
};
use db::EngineKind;
use platform::Platform;
use types::{AccountId, Secret};

const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn an_order_survives_a_kill_after_each_durable_step_on_sqlite() {
    survives_kills("sqlite", EngineKind::Sqlite, 1).await;
}

/// Every third step is enough here: what differs from SQLite is below the steps.
#[tokio::test]
async fn an_order_survives_a_kill_after_every_third_durable_step_on_postgres() {
    survives_kills("postgres", EngineKind::Postgres, 3).await;
}

async fn survives_kills(name: &str, engine: EngineKind, stride: usize) {
    let mut platform = Platform::new(name, engine);
    platform.start().await;
    platform.publish();
    let customer = Customer::register(&platform).await;
    let order = async |platform: &mut Platform, steps| customer.order(platform, steps).await;
    let steps = platform.killed_after_each_step(stride, order).await;
    assert!(steps > 20, "an order has more durable steps than {steps}");
    customer.check_all(&platform).await;
    platform.stop().await;
}

struct Customer {
    account: AccountId,
    token: Secret,
}

impl Customer {
    async fn register(platform: &Platform) -> Self {
        let client = platform.client(None);
        let (email, password) = ("ada@example.com".to_owned(), Secret::new(PASSWORD));
        let title = "A bakery".to_owned();
        let register = RegisterAccount { title, email: email.clone(), password: password.clone() };
        let Registered { account, .. } = client.call(register).await.unwrap();
        let token = client.call(SignIn { email, password }).await.unwrap().token;
        platform.allow(account);
        Self { account, token }
    }

    fn client(&self, platform: &Platform) -> Client {
        platform.client(Some(&self.token))
    }

    /// Takes an instance and sets it up, with a kill after `steps` durable steps; answers whether
    /// there was one.
    async fn order(&self, platform: &mut Platform, steps: u64) -> bool {
        let key = format!("order-{steps}");
        let killed = platform
            .goes_on(steps, async |platform| {
                let seen = self.see_through(&self.client(platform), steps, &key).await?;
                Ok(seen.state == InstanceState::Open)
            })
            .await;
        self.check(&self.client(platform), steps).await;
        killed
    }

    /// Does what is to be done next, as a person who tries again would.
    async fn see_through(
        &self,
        client: &Client,
        steps: u64,
        key: &str,
    ) -> Result<Instance, Problem> {
        let account = self.account;
        let place = PlaceOrder {
            account,
            service: "counter".parse().unwrap(),
            plan: None,
            modules: [].into(),
            size: "small".into(),
            host: host(steps).parse().unwrap(),
        };
        let Order { order, .. } = client.call_once(place, key).await?;
        let Order { instance, phase, .. } = client.call(GetOrder { account, order }).await?;
        assert_ne!(phase, OrderPhase::Failed);
        let seen = match client.call(GetInstance { account, instance }).await {
            Err(problem) if phase != OrderPhase::Complete && problem.status == 404 => {
                return Err(Problem::unavailable("not there yet", 1));
            }
            seen => seen?,
        };
        assert_ne!(seen.state, InstanceState::Failed, "{:?}", seen.problem);
        if seen.state == InstanceState::AwaitingSetup {
            let values = [("title".to_owned(), Secret::new("Buns"))].into();
            client.call(SubmitSetup { account, instance, key: None, values }).await?;
        }
        Ok(seen)
    }

    /// There is one of everything.
    async fn check(&self, client: &Client, steps: u64) {
        let account = self.account;
        let list = ListInstances { account, after: None, limit: Some(500) };
        let instances = client.call(list).await.unwrap().items;
        let mine = instances.iter().filter(|instance| instance.host.as_str() == host(steps));
        let mine: Vec<&Instance> = mine.collect();
        assert_eq!(mine.len(), 1);
        let instance = mine[0].instance;
        let list = ListInstanceJobs {
            account,
            instance,
            state: None,
            name: None,
            after: None,
            limit: None,
        };
        let jobs = client.call(list).await.unwrap().items;
        let succeeded = jobs.iter().filter(|job| job.state == JobState::Succeeded);
        assert_eq!((jobs.len(), succeeded.count()), (2, 2));
        let setup = client.call(GetSetup { account, instance }).await.unwrap();
        assert!(setup.steps.iter().all(|step| step.state == JobState::Succeeded));
        // Billing is told while the instance is set up, and bills whole seconds.
        let deadline = Duration::from_secs(90);
        let cycles = tokio::time::timeout(deadline, async {
            loop {
                let bill = client.call(GetBill { account, month: None }).await.unwrap();
                let count = |kind| {
                    let lines = bill.lines.iter();
                    lines.filter(|line| line.instance == instance && line.kind == kind).count()
                };
                match (count(LineKind::Plan), count(LineKind::Size)) {
                    (0, _) | (_, 0) => tokio::time::sleep(Duration::from_millis(50)).await,
                    cycles => return cycles,
                }
            }
        });
        assert_eq!(cycles.await.ok(), Some((1, 1)), "one billing cycle");
    }

    async fn check_all(&self, platform: &Platform) {
        let account = self.account;
        let client = self.client(platform);
        let list = ListOrders { account, after: None, limit: Some(500) };
        let orders = client.call(list).await.unwrap().items.len();
        let list = ListInstances { account, after: None, limit: Some(500) };
        let instances = client.call(list).await.unwrap().items.len();
        assert_eq!(orders, instances);
        assert_eq!(platform.instance_databases().await, instances, "one database each");
        client.call(api::billing::VerifyBill { account, month: None }).await.unwrap();
        let show = || api::billing::GetVerification { account, month: None };
        loop {
            if let Some(result) = client.call(show()).await.unwrap().result {
                break assert!(result.agrees, "{result:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn host(steps: u64) -> String {
    format!("after-{steps}.localhost")
}
