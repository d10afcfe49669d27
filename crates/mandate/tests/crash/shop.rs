//! A customer with an open instance, and a machine that does its jobs.

use std::{sync::Arc, time::Duration};

use api::{
    Client, Credentials, Problem,
    configurator::{GetInstance, InstanceState, SubmitSetup},
    http::token::{self, Claims},
    identity::{JoinNode, RegisterAccount, Registered, SignIn},
    jobs::{EnqueueJobs, Lease, LeaseJobs, NewJob, Outcome, Report, ReportJobs},
    provider::{GetOrder, PlaceOrder},
    releases::{Heartbeat, ListServices},
};
use ed25519_dalek::SigningKey;
use types::{
    AccountId, Clock as _, Digest, InstanceId, JobId, NodeId, Principal, Secret, SystemClock,
};

use crate::platform::Platform;

const PASSWORD: &str = "correct horse battery";
const EMAIL: &str = "ada@example.com";

/// Signs the operator in.
pub(crate) async fn operator(platform: &Platform) -> Secret {
    let (email, password) = platform.operator();
    let sign_in = SignIn { email, password: Secret::new(password) };
    platform.client(None).call(sign_in).await.unwrap().token
}

/// A machine that does jobs, by the machine's own clock.
struct NodeCredentials {
    node: NodeId,
    key: SigningKey,
}

impl Credentials for NodeCredentials {
    fn bearer(&self, audience: &str) -> Option<Arc<str>> {
        let (sub, life) = (Principal::Node(self.node), Duration::from_mins(1));
        let claims = Claims::new(sub, audience, SystemClock.now(), life);
        Some(token::sign(&self.node.to_string(), &self.key, &claims).into())
    }
}

/// Somebody's instance.
pub(crate) struct Shop {
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) token: Secret,
}

/// A machine that does jobs.
#[derive(Clone)]
pub(crate) struct Worker {
    node: NodeId,
    key: SigningKey,
    /// The release that is ready on it.
    pub(crate) release: Digest,
    /// How long it waits for a job that is not there yet.
    pub(crate) wait_millis: u32,
    holding: Vec<JobId>,
}

impl Shop {
    /// One that is open.
    pub(crate) async fn open(platform: &Platform) -> (Self, Worker) {
        let visitor = platform.client(None);
        let (email, password) = (EMAIL.to_owned(), Secret::new(PASSWORD));
        let title = "A bakery".to_owned();
        let register = RegisterAccount { title, email: email.clone(), password: password.clone() };
        let Registered { account, .. } = visitor.call(register).await.unwrap();
        let token = visitor.call(SignIn { email, password }).await.unwrap().token;
        let client = platform.client(Some(&token));
        let operator = platform.client(Some(&operator(platform).await));
        let services = operator.call(ListServices::default()).await.unwrap();
        let release = services.items[0].release.clone();
        let place = PlaceOrder {
            account,
            service: "counter".parse().unwrap(),
            plan: None,
            modules: [].into(),
            size: "small".into(),
            host: "bakery.localhost".parse().unwrap(),
        };
        let order = client.call(place).await.unwrap().order;
        let instance = client.call(GetOrder { account, order }).await.unwrap().instance;
        let mut worker = Worker::join(platform, "worker", release).await;
        let shop = Self { account, instance, token };
        shop.set_up(platform, &mut worker).await;
        (shop, worker)
    }

    async fn set_up(&self, platform: &Platform, worker: &mut Worker) {
        let (account, instance) = (self.account, self.instance);
        let client = platform.client(Some(&self.token));
        let state = async || {
            let seen = client.call(GetInstance { account, instance }).await;
            seen.ok().map(|instance| instance.state)
        };
        while state().await != Some(InstanceState::AwaitingSetup) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let values = [("title".to_owned(), Secret::new("Buns"))].into();
        client.call(SubmitSetup { account, instance, key: None, values }).await.unwrap();
        while state().await != Some(InstanceState::Open) {
            for lease in worker.lease(platform, 10).await.unwrap() {
                let report = vec![(lease, Outcome::Succeeded)];
                worker.report(platform, report).await.unwrap();
            }
        }
        // `jobs` is told a moment later.
        let none = || vec![NewJob { name: "none".into(), ..NewJob::default() }];
        while self.enqueue(platform, none(), "none").await.unwrap_err().code == "not_found" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn enqueue(
        &self,
        platform: &Platform,
        jobs: Vec<NewJob>,
        key: &str,
    ) -> Result<Vec<JobId>, Problem> {
        let (account, instance) = (self.account, self.instance);
        let client = platform.client(Some(&self.token));
        let enqueue = EnqueueJobs { account, instance, jobs };
        Ok(client.call_once(enqueue, key).await?.jobs)
    }
}

impl Worker {
    /// A machine that has a release ready; each has a key of its own.
    pub(crate) async fn join(platform: &Platform, name: &str, release: Digest) -> Self {
        let seed = Digest::of(name.as_bytes());
        let key = SigningKey::from_bytes(&chassis::unhex(seed.hex()).unwrap());
        let join = || JoinNode {
            join_token: platform.join_token(),
            name: name.parse().unwrap(),
            public_key: chassis::hex(key.verifying_key().as_bytes()),
        };
        let node = loop {
            // The token in the file is for one machine, and soon there is another one.
            match platform.client(None).call(join()).await {
                Ok(joined) => break joined.node,
                Err(problem) => assert_eq!(problem.code, "join_token_refused"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let worker = Self { node, key, release, wait_millis: 200, holding: Vec::new() };
        worker.is_heard_of(platform, name).await;
        worker
    }

    /// What may run here is planned once the node was heard of.
    async fn is_heard_of(&self, platform: &Platform, name: &str) {
        let heartbeat = Heartbeat::new(self.node, name.parse().unwrap());
        let client = self.client(platform);
        while !client
            .call(heartbeat.clone())
            .await
            .is_ok_and(|desired| desired.releases.iter().any(|it| it.digest == self.release))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn client(&self, platform: &Platform) -> Client {
        let credentials = NodeCredentials { node: self.node, key: self.key.clone() };
        platform.client_of(Arc::new(credentials))
    }

    pub(crate) async fn lease(
        &mut self,
        platform: &Platform,
        slots: u32,
    ) -> Result<Vec<Lease>, Problem> {
        let (releases, holding) = (vec![self.release.clone()], self.holding.clone());
        let (node, wait_millis) = (self.node, self.wait_millis);
        let lease = LeaseJobs { node, releases, holding, slots, setup_slots: 0, wait_millis };
        let leases = self.client(platform).call(lease).await?.leases;
        self.holding.extend(leases.iter().map(|lease| lease.job));
        Ok(leases)
    }

    pub(crate) async fn report(
        &mut self,
        platform: &Platform,
        ends: Vec<(Lease, Outcome)>,
    ) -> Result<(), Problem> {
        let told = |(lease, outcome): &(Lease, Outcome)| Report {
            job: lease.job,
            token: lease.token,
            outcome: *outcome,
            output: String::new(),
            progress: None,
            result: None,
            problem: None,
        };
        let reports = ends.iter().map(told).collect();
        self.client(platform).call(ReportJobs { node: self.node, reports }).await?;
        let ended: std::collections::BTreeSet<JobId> =
            ends.iter().map(|(lease, _)| lease.job).collect();
        self.holding.retain(|job| !ended.contains(job));
        Ok(())
    }
}
