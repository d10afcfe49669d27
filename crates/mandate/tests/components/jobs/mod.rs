//! Jobs: one worker at a time, in turns, and nobody who was thought dead.

mod again;
mod askers;
mod batches;
mod commands;
mod history;
mod killed;
mod leases;
mod queues;
mod schedules;
mod turns;
mod versions;

use std::{collections::BTreeMap, path::PathBuf, sync::Mutex, time::Duration};

use api::{
    Client, Problem,
    jobs::{
        DEFAULT_CLASS, EnqueueJobs, Gate, GetJob, Instance, InstanceState, Job, JobDefinition,
        JobState, Lease, LeaseJobs, NewJob, Outcome, PromoteJobs, PutInstances, PutJobs, Report,
        ReportJobs, SetQueue, Verdict,
    },
};
use types::{AccountId, Clock as _, Digest, InstanceId, JobId, Name, NodeId};

use crate::world::World;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn definition() -> JobDefinition {
    JobDefinition::of(vec!["./work".into()])
}

/// What a release is called that says `tag`.
fn digest(tag: &str) -> Digest {
    Digest::of(tag.as_bytes())
}

/// The release of a service that was made the current one last, in each world.
static CURRENT: Mutex<BTreeMap<(PathBuf, Name), Digest>> = Mutex::new(BTreeMap::new());

/// Makes `tag` the current release of a service.
async fn release(
    world: &World,
    service: &str,
    tag: &str,
    turn: u64,
    jobs: &[(&str, JobDefinition)],
) -> Digest {
    let releases = world.component("releases");
    let (service, release) = (name(service), digest(tag));
    let jobs: BTreeMap<String, JobDefinition> =
        jobs.iter().map(|(name, job)| ((*name).to_owned(), job.clone())).collect();
    let (schema, compatible) = (0, false);
    let (of, named) = (service.clone(), release.clone());
    let put = PutJobs { service: of, release: named, jobs, schema, compatible };
    releases.call(put).await.unwrap();
    let promote = PromoteJobs { service: service.clone(), release: release.clone(), turn };
    releases.call(promote).await.unwrap();
    CURRENT.lock().unwrap().insert((world.data.clone(), service), release.clone());
    release
}

/// An instance, and the platform as its operator sees it.
struct Shop {
    operator: Client,
    account: AccountId,
    instance: InstanceId,
    service: Name,
}

impl Shop {
    /// An open instance of the forum, whose release does `work`.
    async fn open(world: &World) -> Self {
        release(world, "forum", "release", 1, &[("work", definition())]).await;
        Self::of(world, "forum", "one").await
    }

    /// An open instance of a service.
    async fn of(world: &World, service: &str, instance: &str) -> Self {
        let operator = world.operator().await;
        let shop = Self {
            operator,
            account: AccountId::named(&["ada"]),
            instance: InstanceId::named(&[instance]),
            service: name(service),
        };
        shop.is(world, InstanceState::Open).await;
        shop
    }

    /// It is on the release that was made current last.
    async fn is(&self, world: &World, state: InstanceState) {
        let key = (world.data.clone(), self.service.clone());
        let current = CURRENT.lock().unwrap().get(&key).cloned();
        let release = current.unwrap_or_else(|| digest("release"));
        self.is_on(world, release, state).await;
    }

    async fn is_on(&self, world: &World, release: Digest, state: InstanceState) {
        let Self { account, instance, service, .. } = self;
        let (account, instance, service) = (*account, *instance, service.clone());
        world.place((account, instance), service.as_str(), None).await;
        let gate = Gate::Open;
        let it = Instance { account, service, release, state, gate };
        let put = PutInstances { instances: [(instance, it)].into() };
        let unknown = world.component("configurator").call(put).await.unwrap();
        assert!(unknown.releases.is_empty(), "{unknown:?}");
    }

    async fn asks(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>, Problem> {
        let (account, instance) = (self.account, self.instance);
        let asked = self.operator.call(EnqueueJobs { account, instance, jobs }).await;
        asked.map(|enqueued| enqueued.jobs)
    }

    /// Queues `count` jobs that are called `work`.
    async fn queue(&self, count: usize) -> Vec<JobId> {
        self.asks(vec![work(); count]).await.unwrap()
    }

    async fn queue_one(&self, job: NewJob) -> JobId {
        self.asks(vec![job]).await.unwrap().remove(0)
    }

    async fn seen(&self, job: JobId) -> Job {
        self.operator.call(GetJob { job }).await.unwrap()
    }

    async fn state(&self, job: JobId) -> JobState {
        self.seen(job).await.state
    }
}

fn work() -> NewJob {
    NewJob { name: "work".into(), ..NewJob::default() }
}

fn change(service: &str) -> SetQueue {
    SetQueue::of(name(service), DEFAULT_CLASS)
}

/// A machine that does jobs.
struct Worker {
    node: NodeId,
    client: Client,
    holding: Mutex<Vec<JobId>>,
}

impl Worker {
    async fn join(world: &World, name: &str) -> Self {
        let (node, client) = world.node(name).await;
        Self { node, client, holding: Mutex::default() }
    }

    async fn lease(&self, slots: u32) -> Vec<Lease> {
        self.lease_of(&[digest("release")], slots).await
    }

    async fn lease_of(&self, releases: &[Digest], slots: u32) -> Vec<Lease> {
        self.lease_beside(releases, slots, 0).await
    }

    /// Leases, with slots for set-ups beside those for all.
    async fn lease_beside(&self, releases: &[Digest], slots: u32, setup_slots: u32) -> Vec<Lease> {
        let releases = releases.to_vec();
        let holding = self.holding.lock().unwrap().clone();
        let lease =
            LeaseJobs { node: self.node, releases, holding, slots, setup_slots, wait_millis: 0 };
        let leases = self.client.call(lease).await.unwrap().leases;
        self.holding.lock().unwrap().extend(leases.iter().map(|lease| lease.job));
        leases
    }

    /// Takes the job that waits and dies.
    async fn lose(&self, world: &World) {
        world.advance(Duration::from_mins(20));
        let leases = self.lease(1).await;
        assert_eq!(leases.len(), 1);
        self.holding.lock().unwrap().clear();
        assert!(self.lease(1).await.is_empty(), "it is tried again after a pause");
    }

    async fn report(&self, lease: &Lease, outcome: Outcome) -> Verdict {
        self.tell(vec![report(lease, outcome)]).await.remove(0)
    }

    async fn tell(&self, reports: Vec<Report>) -> Vec<Verdict> {
        let told = self.client.call(ReportJobs { node: self.node, reports }).await.unwrap();
        told.reports.iter().map(|reported| reported.verdict).collect()
    }

    /// Does everything that can be had at once; answers what it was, in its order.
    async fn do_all(&self, releases: &[Digest]) -> Vec<Lease> {
        let mut done = Vec::new();
        loop {
            let leases = self.lease_of(releases, 1_000).await;
            if leases.is_empty() {
                return done;
            }
            let reports = leases.iter().map(|lease| report(lease, Outcome::Succeeded)).collect();
            let verdicts = self.tell(reports).await;
            assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Kept));
            self.holding.lock().unwrap().clear();
            done.extend(leases);
        }
    }
}

fn report(lease: &Lease, outcome: Outcome) -> Report {
    let (progress, result, problem) = (None, None, None);
    let output = "printed\0this".to_owned();
    Report { job: lease.job, token: lease.token, outcome, output, progress, result, problem }
}

fn now(world: &World) -> types::Timestamp {
    world.clock.now()
}

/// The tables of `jobs`.
async fn tables(world: &World) -> db::Db {
    let password = world.house.database_password("jobs");
    world.engine.open("jobs", &password, &[]).await.unwrap()
}
