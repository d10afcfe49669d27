//! A stream of jobs runs across an update, with workers that die, stop and come back: what each did is
//! written down, and the whole is looked at in the end. Once for each way to deal with jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use api::{
    Client,
    configurator::{GetInstance, InstanceState},
    jobs::{
        EnqueueJobs, GetJob, Job, JobState, Lease, LeaseJobs, NewJob, Outcome, ReplayJobs, Report,
        ReportJobs, Strategy, Verdict,
    },
    releases::{DesiredReplica, Heartbeat, RolloutState},
};
use types::{Digest, InstanceId, JobId, NodeId};

use super::{jobs, plan};
use crate::{
    effects::{Dice, Effects},
    machine::{NAME, healthy, promote_as, publish, rollout, stage},
    orders::{order, take},
    world::{Person, World, eventually},
};

const SHOPS: usize = 2;
const NODES: usize = 2;
/// How much time passes in the world while a moment passes here.
const TICK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How many jobs there are: enough for a test, or as many as a soak asks for.
fn jobs_in_all() -> usize {
    let asked = std::env::var("UPDATE_JOBS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(120)
}

/// An attempt that was begun.
struct Begun {
    instance: InstanceId,
    job: JobId,
    version: u32,
    release: Digest,
}

/// What happened, in its order.
#[derive(Default)]
struct History {
    begun: Vec<Begun>,
    effects: Effects,
}

impl History {
    fn begin(&mut self, lease: &Lease) {
        self.effects.begin(lease);
        self.begun.push(Begun {
            instance: lease.instance,
            job: lease.job,
            version: lease.version,
            release: lease.release.clone(),
        });
    }
}

/// A machine, its jobs, and what it forgets and remembers of them.
struct Node<'h> {
    id: NodeId,
    client: Client,
    history: &'h Mutex<History>,
    releases: Mutex<Vec<Digest>>,
}

impl Node<'_> {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// Says that all that it is to run is healthy.
    async fn lives(&self) {
        let mut replicas: Vec<DesiredReplica> = Vec::new();
        loop {
            let heartbeat = Heartbeat {
                replicas: replicas.iter().map(healthy).collect(),
                ..Heartbeat::new(self.id, "one".parse().unwrap())
            };
            if let Ok(desired) = self.client.call(heartbeat).await {
                replicas = desired.replicas;
                let has = desired.releases.into_iter().map(|release| release.digest);
                *self.releases.lock().unwrap() = has.collect();
            }
            tokio::time::sleep(TICK.0 * 2).await;
        }
    }

    async fn works(&self, mut dice: Dice) {
        let (mut running, mut stopped): (Vec<Lease>, Vec<Lease>) = (Vec::new(), Vec::new());
        loop {
            tokio::time::sleep(TICK.0 / 2).await;
            let held = running.iter().chain(&stopped);
            let lease = LeaseJobs {
                node: self.id,
                releases: self.releases.lock().unwrap().clone(),
                holding: held.map(|lease| lease.job).collect(),
                slots: 1 + u32::try_from(dice.roll(8)).unwrap(),
                setup_slots: 1,
                wait_millis: 0,
            };
            let Ok(leases) = self.client.call(lease).await else { continue };
            for lease in leases.leases {
                if lease.name != "work" {
                    self.report(&lease, Outcome::Succeeded).await;
                    continue;
                }
                self.history().begin(&lease);
                match dice.roll(14) {
                    // It is killed: nobody hears of it again.
                    0 => {}
                    // It is stopped, and goes on when everybody has thought it dead.
                    1 => stopped.push(lease),
                    2 => drop(self.report(&lease, Outcome::Lost).await),
                    // It takes its time, so that it runs while other things happen.
                    3..5 => running.push(lease),
                    _ => self.finish(&lease).await,
                }
            }
            if dice.roll(8) == 0 {
                for lease in running.drain(..) {
                    self.finish(&lease).await;
                }
            } else {
                let mut left = Vec::new();
                for lease in running.drain(..) {
                    match self.report(&lease, Outcome::Running).await {
                        Verdict::Kept => left.push(lease),
                        Verdict::Stop => drop(self.report(&lease, Outcome::Cancelled).await),
                        Verdict::Lost => {}
                    }
                }
                running = left;
            }
            if dice.roll(30) == 0 {
                for lease in stopped.drain(..) {
                    self.finish(&lease).await;
                }
            }
        }
    }

    async fn finish(&self, lease: &Lease) {
        self.history().effects.make(lease);
        self.report(lease, Outcome::Succeeded).await;
    }

    async fn report(&self, lease: &Lease, outcome: Outcome) -> Verdict {
        let report = Report {
            job: lease.job,
            token: lease.token,
            outcome,
            output: String::new(),
            progress: None,
            result: None,
            problem: None,
        };
        let sent = self.client.call(ReportJobs { node: self.id, reports: vec![report] }).await;
        sent.map_or(Verdict::Lost, |answer| answer.reports[0].verdict)
    }
}

/// An application that asks for jobs as its release writes them.
async fn asks(shops: &[(Person, InstanceId)], old: &Digest, count: usize) -> Vec<JobId> {
    let mut asked = Vec::new();
    for place in 0..count {
        let (ada, instance) = &shops[place % shops.len()];
        let (account, instance) = (ada.account, *instance);
        let seen = ada.client.call(GetInstance { account, instance }).await.unwrap();
        let version = Some(if seen.release == *old { 1 } else { 2 });
        let delay_seconds = (place % 5 == 0).then_some(2);
        let job = NewJob {
            name: "work".to_owned(),
            version,
            delay_seconds,
            attempts: Some(100),
            ..NewJob::default()
        };
        let enqueue = EnqueueJobs { account, instance, jobs: vec![job] };
        loop {
            match ada.client.call(enqueue.clone()).await {
                Ok(queued) => break asked.extend(queued.jobs),
                // It is there, and moves meanwhile: the version is looked up again by the next one.
                Err(problem) if problem.code == "version" => break,
                Err(problem) => {
                    assert_eq!(problem.code, "gate_closed", "{problem}");
                    tokio::time::sleep(TICK.0).await;
                }
            }
        }
        if place % 10 == 0 {
            tokio::time::sleep(TICK.0 / 2).await;
        }
    }
    asked
}

/// Tells the whole history, and looks at what holds whatever the way is.
async fn told(
    world: &World,
    strategy: Strategy,
    refuses: bool,
    accepts: &str,
) -> (History, Vec<Job>, [Digest; 2]) {
    let first = publish(world, "shared", "", &jobs(1, "1-1")).await;
    let history = Mutex::default();
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let (id, client) = world.node(&format!("node-{number}")).await;
        nodes.push(Node { id, client, history: &history, releases: Mutex::default() });
    }
    let passes = async {
        loop {
            tokio::time::sleep(TICK.0).await;
            world.advance(TICK.1);
        }
    };
    let alive = futures_util::future::join_all(nodes.iter().map(Node::lives));
    let works = nodes.iter().zip(1..).map(|(node, seed)| node.works(Dice(seed)));
    let works = futures_util::future::join_all(works);
    let story = async {
        let mut shops = Vec::new();
        for number in 0..SHOPS {
            let ada = world.sign_up(&format!("ada{number}")).await;
            let wanted = order(ada.account, &format!("shop{number}.localhost"), &[]);
            let instance = take(&ada, wanted, InstanceState::Open).await;
            shops.push((ada, instance));
        }
        let second = stage(world, "shared", "", &jobs(2, accepts)).await.digest;
        let before = asks(&shops, &first, jobs_in_all() / 3).await;
        let mut plan = plan(strategy);
        plan.workers.refuses = refuses;
        plan.at_once = None;
        let update = async {
            promote_as(world, &second, plan).await.unwrap();
        };
        let (meanwhile, ()) = tokio::join!(asks(&shops, &first, jobs_in_all() / 3), update);
        rollout(world, RolloutState::Done).await;
        let after = asks(&shops, &first, jobs_in_all() / 3).await;
        let all: Vec<JobId> = [before, meanwhile, after].concat();
        let seen = settled(world, &all).await;
        for (ada, instance) in &shops {
            let get = GetInstance { account: ada.account, instance: *instance };
            assert_eq!(ada.client.call(get).await.unwrap().release, second);
        }
        (seen, second)
    };
    let (seen, second) = tokio::select! {
        told = story => told,
        _ = alive => unreachable!("they live on"),
        _ = works => unreachable!("they work on"),
        () = passes => unreachable!("time passes"),
    };
    drop(nodes);
    let history = history.into_inner().unwrap();
    assert!(history.effects.made.values().all(|made| *made <= 1), "an effect was made twice");
    for job in &seen {
        assert!(job.state == JobState::Succeeded || job.lost == 10, "{job:?}");
        let made = history.effects.made.get(&job.job).copied().unwrap_or_default();
        assert!(made == 1 || job.state == JobState::Failed, "{job:?}");
    }
    for Begun { job, version, release, .. } in &history.begun {
        let is_accepted =
            if *release == first { *version == 1 } else { *version >= oldest(accepts) };
        assert!(is_accepted, "{job} of version {version} was begun by {release}");
    }
    (history, seen, [first, second])
}

fn oldest(accepts: &str) -> u32 {
    accepts.split('-').next().unwrap().parse().unwrap()
}

/// Waits until nothing is left; what was set aside is put back again and again.
async fn settled(world: &World, all: &[JobId]) -> Vec<Job> {
    let operator = world.operator().await;
    let mut seen = Vec::new();
    for job in all {
        let look = async || operator.call(GetJob { job: *job }).await.unwrap();
        let ended = async || {
            let job = look().await;
            if job.state == JobState::SetAside {
                let (service, class) = (NAME.parse().unwrap(), "default".to_owned());
                let put_back =
                    ReplayJobs { service, class, name: None, set_aside: true, limit: None };
                operator.call(put_back).await.unwrap();
            }
            job
        };
        let is_over = |job: &Job| job.state.has_ended() && job.state != JobState::SetAside;
        seen.push(eventually("every job ends", ended, is_over).await);
    }
    seen
}

/// Of each instance nothing was begun by the old release after the first that the new one has begun.
fn is_one_after_the_other(history: &History, [first, second]: &[Digest; 2]) {
    let mut moved: BTreeSet<InstanceId> = BTreeSet::new();
    let mut by_both: BTreeMap<InstanceId, BTreeSet<&Digest>> = BTreeMap::new();
    for Begun { instance, job, release, .. } in &history.begun {
        by_both.entry(*instance).or_default().insert(release);
        if release == second {
            moved.insert(*instance);
        }
        assert!(release != first || !moved.contains(instance), "{job} was begun by the old one");
    }
    assert!(by_both.values().all(|by| by.len() == 2), "jobs ran before and after");
}

stories! {
    async fn a_stream_of_jobs_survives_a_restart(world: &World) {
        let (history, _, releases) = told(world, Strategy::Restart, false, "1-2").await;
        is_one_after_the_other(&history, &releases);
    }

    async fn a_stream_of_jobs_survives_a_purge(world: &World) {
        let (history, seen, [first, second]) = told(world, Strategy::Purge, false, "2-2").await;
        // What was put back is done by the release that accepts it.
        for Begun { version, release, .. } in &history.begun {
            assert_eq!(*release, if *version == 1 { first.clone() } else { second.clone() });
        }
        assert!(seen.iter().any(|job| job.release.as_ref() == Some(&second)));
    }

    async fn a_stream_of_jobs_survives_a_drain(world: &World) {
        let (history, _, releases) = told(world, Strategy::Drain, false, "1-2").await;
        is_one_after_the_other(&history, &releases);
    }

    async fn a_stream_of_jobs_survives_a_drain_that_refuses(world: &World) {
        let (history, _, releases) = told(world, Strategy::Drain, true, "1-2").await;
        is_one_after_the_other(&history, &releases);
    }

    async fn a_stream_of_jobs_survives_an_update_by_versions(world: &World) {
        let (history, _, [first, second]) = told(world, Strategy::Versioned, false, "2-2").await;
        for Begun { version, release, .. } in &history.begun {
            assert_eq!(*release, if *version == 1 { first.clone() } else { second.clone() });
        }
    }
}
