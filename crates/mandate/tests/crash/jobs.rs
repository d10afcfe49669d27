//! The process is killed after each durable step of jobs that are queued, handed out, reported,
//! tried again and taken back. Started again, none is lost, none was queued twice, and what is
//! counted is what there is.

use std::collections::BTreeMap;

use api::{
    Problem,
    jobs::{
        CancelJob, Counts, GetInstanceJob, GetQueue, JobState, Lease, ListInstanceJobs, NewJob,
        Outcome, Unique, Until,
    },
};
use db::EngineKind;
use types::JobId;

use crate::{
    platform::Platform,
    shop::{Shop, Worker, operator},
};

#[tokio::test]
async fn jobs_survive_a_kill_after_each_durable_step_on_sqlite() {
    survive_kills("jobs-sqlite", EngineKind::Sqlite, 1).await;
}

/// Every third step is enough here: what differs from SQLite is below the steps.
#[tokio::test]
async fn jobs_survive_a_kill_after_every_third_durable_step_on_postgres() {
    survive_kills("jobs-postgres", EngineKind::Postgres, 3).await;
}

async fn survive_kills(name: &str, engine: EngineKind, stride: usize) {
    let mut platform = Platform::new(name, engine).without_agent();
    platform.start().await;
    platform.publish();
    let (shop, worker) = Shop::open(&platform).await;
    let mut story = Story { shop, worker };
    let tell = async |platform: &mut Platform, steps| story.tell(platform, steps).await;
    let steps = platform.killed_after_each_step(stride, tell).await;
    assert!(steps > 8, "these jobs have more durable steps than {steps}");
    platform.stop().await;
}

struct Story {
    shop: Shop,
    worker: Worker,
}

/// What has been done of a story, as far as it was answered.
#[derive(Default)]
struct Told {
    first: Vec<JobId>,
    last: Option<JobId>,
    cancelled: bool,
    failed_once: bool,
    unheard: Vec<(Lease, Outcome)>,
}

impl Story {
    /// Tells the story once, with a kill after `steps` durable steps; answers whether there was one.
    async fn tell(&mut self, platform: &mut Platform, steps: u64) -> bool {
        let mut told = Told::default();
        let go_on = async |platform: &Platform| self.go_on(platform, &mut told, steps).await;
        let killed = platform.goes_on(steps, go_on).await;
        self.check(platform, &told, steps).await;
        killed
    }

    /// Does what is to be done next, as a client and a machine would that try again; answers
    /// whether all is done.
    async fn go_on(
        &mut self,
        platform: &Platform,
        told: &mut Told,
        steps: u64,
    ) -> Result<bool, Problem> {
        let job = |key: Option<String>| NewJob {
            name: "work".into(),
            unique: key.map(|key| Unique { key, until: Until::Ended }),
            ..NewJob::default()
        };
        if told.first.is_empty() {
            let jobs = vec![job(None), job(Some(format!("key-{steps}"))), job(None)];
            told.first = self.shop.enqueue(platform, jobs, &format!("first-{steps}")).await?;
        }
        let cancel = CancelJob {
            account: self.shop.account,
            instance: self.shop.instance,
            job: told.first[2],
        };
        if !told.cancelled {
            let cancelled = platform.client(Some(&self.shop.token)).call(cancel).await?;
            assert_eq!(cancelled.state, JobState::Cancelled);
            told.cancelled = true;
        }
        if told.last.is_none() {
            let last = NewJob { after: told.first[..2].to_vec(), ..job(None) };
            let key = format!("last-{steps}");
            told.last = self.shop.enqueue(platform, vec![last], &key).await?.pop();
        }
        while let Some((lease, outcome)) = told.unheard.last().cloned() {
            self.worker.report(platform, vec![(lease, outcome)]).await?;
            told.unheard.pop();
        }
        for lease in self.worker.lease(platform, 10).await? {
            let fails = lease.job == told.first[0] && !told.failed_once;
            told.failed_once |= fails;
            let outcome = if fails { Outcome::Again } else { Outcome::Succeeded };
            told.unheard.push((lease, outcome));
        }
        let last = GetInstanceJob {
            account: self.shop.account,
            instance: self.shop.instance,
            job: told.last.expect("it was queued"),
        };
        let last = platform.client(Some(&self.shop.token)).call(last).await?;
        Ok(last.state.has_ended() && told.unheard.is_empty())
    }

    async fn check(&self, platform: &Platform, told: &Told, steps: u64) {
        let (account, instance) = (self.shop.account, self.shop.instance);
        let client = platform.client(Some(&self.shop.token));
        let list = ListInstanceJobs {
            account,
            instance,
            state: None,
            name: Some("work".into()),
            after: None,
            limit: Some(500),
        };
        let jobs = client.call(list).await.unwrap().items;
        let mine: BTreeMap<JobId, JobState> = jobs
            .iter()
            .filter(|job| told.first.contains(&job.job) || Some(job.job) == told.last)
            .map(|job| (job.job, job.state))
            .collect();
        let states: Vec<JobState> = told.first.iter().map(|job| mine[job]).collect();
        let expected = [JobState::Succeeded, JobState::Succeeded, JobState::Cancelled];
        assert_eq!(states, expected, "after {steps} steps");
        assert_eq!(mine[&told.last.unwrap()], JobState::Succeeded, "after {steps} steps");
        let ended = jobs.iter().filter(|job| job.state.has_ended()).count();
        assert_eq!(ended, jobs.len(), "nothing was queued twice, or is left");
        assert_eq!(jobs.len() % 4, 0, "after {steps} steps");
        let queue = GetQueue { service: "counter".parse().unwrap(), class: "default".into() };
        let operator = platform.client(Some(&operator(platform).await));
        let queue = operator.call(queue).await.unwrap();
        assert_eq!(queue.queue.jobs, Counts::default(), "after {steps} steps");
    }
}
