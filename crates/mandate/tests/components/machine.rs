//! A machine that runs what it is told to, and somebody's instance there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    Client,
    configurator::{
        GetEnvironment, GetInstance, Instance, InstanceState, LastMove, ReadSnapshot, Route,
    },
    jobs::{
        EnqueueJobs, JobState, Lease, LeaseJobs, ListInstanceJobs, NewJob, Outcome, Report,
        ReportJobs, Verdict,
    },
    releases::{
        DesiredReplica, Heartbeat, ListNodes, ListRollouts, PromoteRelease, Release, ReleasePhase,
        ReplicaReport, ReplicaState, Rollout, RolloutPlan, RolloutState,
    },
};
use tokio::task::JoinHandle;
use types::{AccountId, Digest, InstanceId, NodeId};

use crate::{
    orders::{order, take},
    world::{MANIFEST, PRICES, Person, World, eventually},
};

pub(crate) const NAME: &str = "forum";
/// Why a job fails that is lost with its machine.
pub(crate) const LOST: &str = "its machine was lost";

/// Makes a release the current one whose instances have processes as `tenancy` says; its database is
/// as `database` says.
pub(crate) async fn publish(world: &World, tenancy: &str, database: &str, more: &str) -> Digest {
    let release = stage(world, tenancy, database, more).await;
    if !release.current {
        world.promote(&release).await.unwrap();
    }
    release.digest
}

pub(crate) async fn stage(world: &World, tenancy: &str, database: &str, more: &str) -> Release {
    let manifest = MANIFEST.replace("NAME", NAME).replace("shared", tenancy);
    let form = manifest.find("[setup.title]").unwrap()..manifest.find("[modules.polls]").unwrap();
    let mut plain = manifest.clone();
    plain.replace_range(form, "");
    let plain = plain.replace("seed = [\"./seed\"]", database);
    let plain = plain.replace("health = \"/healthz\"", more);
    let prices = PRICES.replace("NAME", NAME);
    let ask = async || world.stage_texts(NAME, &plain, &prices).await.unwrap();
    let is_settled = |release: &Release| release.phase != ReleasePhase::Announcing;
    eventually("it is settled", ask, is_settled).await
}

/// A job that a machine has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) name: String,
    pub(crate) release: Digest,
    pub(crate) database: String,
}

/// What a machine is told by the test, and tells it.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) ran: Vec<Ran>,
    /// What ends in another way than well.
    pub(crate) fails: BTreeMap<String, &'static str>,
    /// What does not end before it is taken from here.
    pub(crate) lasts: BTreeSet<String>,
    /// What it was to run at some moment.
    pub(crate) runs: Vec<BTreeSet<Digest>>,
    /// What it is to have.
    pub(crate) has: BTreeSet<Digest>,
}

/// A machine that runs at once what it is told to.
pub(crate) struct Machine {
    pub(crate) node: NodeId,
    pub(crate) client: Client,
    pub(crate) told: Arc<Mutex<Told>>,
    work: JoinHandle<()>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Machine {
    pub(crate) async fn join(world: &World) -> Self {
        let (node, client) = world.node("one").await;
        let told = Arc::new(Mutex::new(Told::default()));
        let work = tokio::spawn(work(node, client.clone(), Arc::clone(&told)));
        Self { node, client, told, work }
    }

    pub(crate) fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().unwrap())
    }

    /// What has run that is called so.
    pub(crate) fn ran(&self, name: &str) -> Vec<Ran> {
        self.told(|told| told.ran.iter().filter(|ran| ran.name == name).cloned().collect())
    }
}

/// Runs at once what it is told to, and says so.
pub(crate) async fn work(node: NodeId, client: Client, told: Arc<Mutex<Told>>) {
    let (mut running, mut replicas): (Vec<Lease>, Vec<DesiredReplica>) = (vec![], vec![]);
    loop {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let heartbeat = Heartbeat {
            replicas: replicas.iter().map(healthy).collect(),
            ..Heartbeat::new(node, "one".parse().unwrap())
        };
        let Ok(desired) = client.call(heartbeat).await else { continue };
        replicas = desired.replicas;
        let runs = replicas.iter().map(|replica| replica.digest.clone()).collect();
        let has: BTreeSet<Digest> = desired.releases.iter().map(|it| it.digest.clone()).collect();
        {
            let mut told = told.lock().unwrap();
            told.runs.push(runs);
            told.has.clone_from(&has);
        }
        let lease = LeaseJobs {
            node,
            releases: has.into_iter().collect(),
            holding: running.iter().map(|lease| lease.job).collect(),
            slots: 4,
            setup_slots: 1,
            wait_millis: 0,
        };
        let Ok(leases) = client.call(lease).await else { continue };
        for lease in leases.leases {
            let release = Some(lease.release.clone());
            let get = GetEnvironment { node, instance: lease.instance, release };
            let environment = client.call(get).await.unwrap();
            let database = environment.variables["DATABASE_URL"].reveal().to_owned();
            let (name, release) = (lease.name.clone(), lease.release.clone());
            told.lock().unwrap().ran.push(Ran { name, release, database });
            running.push(lease);
        }
        report(node, &client, &told, &mut running).await;
    }
}

pub(crate) fn healthy(replica: &DesiredReplica) -> ReplicaReport {
    ReplicaReport {
        replica: replica.replica,
        digest: replica.digest.clone(),
        service: replica.service.clone(),
        process: replica.process.clone(),
        instance: replica.instance,
        address: "127.0.0.1:4000".into(),
        state: ReplicaState::Healthy,
        starts: 1,
        next_start: None,
        log: String::new(),
    }
}

/// Says how its jobs are, and stops what it is to stop.
pub(crate) async fn report(
    node: NodeId,
    client: &Client,
    told: &Mutex<Told>,
    running: &mut Vec<Lease>,
) {
    let (fails, lasts) = {
        let told = told.lock().unwrap();
        (told.fails.clone(), told.lasts.clone())
    };
    let reports = running.iter().map(|lease| {
        let problem = fails.get(&lease.name).map(|why| (*why).to_owned());
        let outcome = match problem.as_deref() {
            _ if lasts.contains(&lease.name) => Outcome::Running,
            Some(LOST) => Outcome::Lost,
            Some(_) => Outcome::Refused,
            None => Outcome::Succeeded,
        };
        let (job, token, output) = (lease.job, lease.token, String::new());
        Report { job, token, outcome, output, progress: None, result: None, problem }
    });
    let reports: Vec<Report> = reports.collect();
    if reports.is_empty() {
        return;
    }
    let sent = client.call(ReportJobs { node, reports: reports.clone() }).await;
    let Ok(answers) = sent else { return };
    for (report, answer) in reports.into_iter().zip(answers.reports) {
        let ends = answer.verdict != Verdict::Kept || report.outcome != Outcome::Running;
        let (job, token) = (report.job, report.token);
        if answer.verdict == Verdict::Stop {
            let stopped = Report { outcome: Outcome::Cancelled, ..report };
            let _ = client.call(ReportJobs { node, reports: vec![stopped] }).await;
        }
        if ends {
            running.retain(|lease| (lease.job, lease.token) != (job, token));
        }
    }
}

/// An open instance and who has it.
pub(crate) struct Shop {
    pub(crate) ada: Person,
    pub(crate) instance: InstanceId,
}

impl Shop {
    pub(crate) async fn open(world: &World) -> Self {
        Self::of(world, "ada").await
    }

    /// The same for somebody else.
    pub(crate) async fn of(world: &World, name: &str) -> Self {
        let ada = world.sign_up(name).await;
        let host = if name == "ada" { "bakery" } else { name };
        let asked = order(ada.account, &format!("{host}.localhost"), &[]);
        let instance = take(&ada, asked, InstanceState::Open).await;
        Self { ada, instance }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.ada.account
    }

    pub(crate) async fn seen(&self) -> Instance {
        let get = GetInstance { account: self.account(), instance: self.instance };
        self.ada.client.call(get).await.unwrap()
    }

    pub(crate) async fn last_move(&self) -> LastMove {
        let seen = async || self.seen().await.last_move;
        let has_ended =
            |last: &Option<LastMove>| last.as_ref().is_some_and(|it| it.ended.is_some());
        eventually("it has ended", seen, has_ended).await.unwrap()
    }

    pub(crate) async fn route(&self, world: &World) -> Route {
        let read = ReadSnapshot { after: None };
        let snapshot = world.component("gateway").call(read).await.unwrap();
        let own = self.instance.to_string();
        let route = snapshot.documents.into_iter().find(|it| it.topic == "route" && it.key == own);
        serde_json::from_value(route.unwrap().body.unwrap()).unwrap()
    }

    pub(crate) async fn queue(&self, name: &str) -> Result<Vec<types::JobId>, api::Problem> {
        let jobs = vec![NewJob { name: name.into(), ..NewJob::default() }];
        let (account, instance) = (self.account(), self.instance);
        let queued = self.ada.client.call(EnqueueJobs { account, instance, jobs }).await;
        queued.map(|queued| queued.jobs)
    }

    pub(crate) async fn jobs(&self, name: &str) -> Vec<JobState> {
        let list = ListInstanceJobs {
            account: self.account(),
            instance: self.instance,
            state: None,
            name: Some(name.to_owned()),
            after: None,
            limit: None,
        };
        let jobs = self.ada.client.call(list).await.unwrap().items;
        jobs.into_iter().map(|job| job.state).collect()
    }
}

/// Promotes a release, whether or not the machine has it ready.
pub(crate) async fn promote(world: &World, release: &Digest) -> Rollout {
    promote_as(world, release, RolloutPlan::default()).await.unwrap()
}

/// The same by a plan.
pub(crate) async fn promote_as(
    world: &World,
    release: &Digest,
    plan: RolloutPlan,
) -> Result<Rollout, api::Problem> {
    let operator = world.operator().await;
    let nodes = operator.call(ListNodes::default()).await.unwrap().items;
    let without = nodes.into_iter().map(|node| node.node).collect();
    let promote = PromoteRelease::new(NAME.parse().unwrap(), release.clone());
    operator.call(PromoteRelease { without, plan, ..promote }).await
}

pub(crate) async fn rollout(world: &World, wanted: RolloutState) -> Rollout {
    let operator = world.operator().await;
    let list = ListRollouts { service: NAME.parse().unwrap(), after: None, limit: None };
    let newest = async || operator.call(list.clone()).await.unwrap().items.remove(0);
    eventually("it is so far", newest, |rollout| rollout.state == wanted).await
}
