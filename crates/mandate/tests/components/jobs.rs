//! Leases: one worker at a time, and nobody who was thought dead.

use std::{sync::Mutex, time::Duration};

use api::{
    Client, Kind,
    billing::{JOB_MILLISECONDS, ListUsage, RecordUsage, UsageEvent},
    jobs::{Job, JobState, Lease, LeaseJobs, ListQueues, Outcome, PutJob, ReportJob, SetQueue},
};
use types::{Clock as _, Digest, InstanceId, JobId, NodeId};

use crate::world::{Person, World, eventually};

fn job(person: &Person, number: i64, after: Option<JobId>) -> PutJob {
    PutJob {
        job: JobId::named(&["job", &number.to_string()]),
        account: person.account,
        instance: InstanceId::named(&["instance"]),
        service: "forum".parse().unwrap(),
        release: Digest::of(b"release"),
        name: format!("job-{number}"),
        version: 1,
        command: vec!["true".into()],
        after,
        timeout_seconds: 60,
        attempts_max: 3,
    }
}

async fn put(world: &World, job: &PutJob) -> Job {
    world.component("configurator").call(job.clone()).await.unwrap()
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
        let releases = vec![Digest::of(b"release")];
        let holding = self.holding.lock().unwrap().clone();
        let lease = LeaseJobs { node: self.node, releases, holding, slots, wait_millis: 0 };
        let leases = self.client.call(lease).await.unwrap().leases;
        self.holding.lock().unwrap().extend(leases.iter().map(|lease| lease.job.job));
        leases
    }

    async fn report(&self, lease: &Lease, outcome: Outcome) -> Result<JobState, api::Problem> {
        let (node, job, token) = (self.node, lease.job.job, lease.token);
        let output = "printed\0this".to_owned();
        let report = ReportJob { node, job, token, outcome, output };
        self.client.call(report).await.map(|reported| reported.state)
    }
}

stories! {
    async fn a_job_put_twice_is_one(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        let first = put(world, &job(&ada, 1, None)).await;
        assert_eq!(put(world, &job(&ada, 1, None)).await, first);
        assert_eq!(worker.lease(10).await.len(), 1);
        assert!(worker.lease(10).await.is_empty());
    }

    async fn no_job_is_leased_to_two(world: &World) {
        let ada = world.sign_up("ada").await;
        for number in 1..=20 {
            put(world, &job(&ada, number, None)).await;
        }
        let a = Worker::join(world, "one").await;
        let b = Worker::join(world, "two").await;
        let mut taken = Vec::new();
        while taken.len() < 20 {
            let (left, right) = tokio::join!(a.lease(3), b.lease(3));
            taken.extend(left.into_iter().chain(right).map(|lease| lease.job.job));
        }
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 20);
    }

    async fn one_waits_for_the_one_before(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        let first = job(&ada, 1, None);
        put(world, &first).await;
        put(world, &job(&ada, 2, Some(first.job))).await;
        let leases = worker.lease(10).await;
        assert_eq!(leases.len(), 1);
        worker.report(&leases[0], Outcome::Succeeded).await.unwrap();
        assert_eq!(worker.lease(10).await[0].job.name, "job-2");
    }

    async fn a_worker_that_was_thought_dead_changes_nothing(world: &World) {
        let ada = world.sign_up("ada").await;
        let slow = Worker::join(world, "one").await;
        let quick = Worker::join(world, "two").await;
        put(world, &job(&ada, 1, None)).await;
        let lost = slow.lease(1).await.remove(0);
        slow.report(&lost, Outcome::Running).await.unwrap();
        world.clock.advance(Duration::from_mins(1));
        let ask = || async {
            world.clock.advance(Duration::from_millis(500));
            quick.lease(1).await
        };
        let taken = eventually("the lease runs out", ask, |leases| !leases.is_empty()).await.remove(0);
        assert!(taken.token > lost.token && taken.job.attempts == 2);
        for outcome in [Outcome::Running, Outcome::Succeeded, Outcome::Failed] {
            let refused = slow.report(&lost, outcome).await.unwrap_err();
            assert_eq!(refused.kind, Kind::Conflict, "{refused}");
        }
        let own_node_old_token = Lease { token: lost.token, ..taken.clone() };
        assert!(quick.report(&own_node_old_token, Outcome::Succeeded).await.is_err());
        let state = quick.report(&taken, Outcome::Succeeded).await.unwrap();
        assert_eq!(state, JobState::Succeeded);
    }

    async fn what_a_killed_node_had_waits_again_at_once(world: &World) {
        let ada = world.sign_up("ada").await;
        put(world, &job(&ada, 1, None)).await;
        let killed = Worker::join(world, "one").await;
        let lost = killed.lease(1).await.remove(0);
        let other = Worker::join(world, "two").await;
        assert!(other.lease(1).await.is_empty(), "it is another's");
        let anew = Worker::join(world, "one").await;
        assert!(anew.lease(1).await.is_empty(), "it is tried again after a pause");
        world.clock.advance(Duration::from_secs(1));
        let taken = other.lease(1).await.remove(0);
        assert!(taken.token > lost.token);
        assert!(killed.report(&lost, Outcome::Succeeded).await.is_err());
        other.report(&taken, Outcome::Succeeded).await.unwrap();
    }

    async fn a_paused_queue_hands_out_nothing_and_holds_up_no_other(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        put(world, &job(&ada, 1, None)).await;
        put(world, &PutJob { service: "store".parse().unwrap(), ..job(&ada, 2, None) }).await;
        let operator = world.operator().await;
        let forum: types::Name = "forum".parse().unwrap();
        let queue = operator.call(SetQueue { service: forum.clone(), paused: true }).await.unwrap();
        assert_eq!((queue.paused, queue.queued), (true, 1));
        let leases = worker.lease(10).await;
        assert_eq!(leases.iter().map(|lease| lease.job.name.as_str()).collect::<Vec<_>>(), ["job-2"]);
        operator.call(SetQueue { service: forum, paused: false }).await.unwrap();
        assert_eq!(worker.lease(10).await.len(), 1);
        let queues = operator.call(ListQueues::default()).await.unwrap().items;
        assert_eq!(queues.iter().map(|queue| queue.running).collect::<Vec<_>>(), [1, 1]);
    }

    async fn the_time_of_each_attempt_is_billed_once(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        put(world, &job(&ada, 1, None)).await;
        let taken = worker.lease(1).await.remove(0);
        world.clock.advance(Duration::from_millis(1_500));
        worker.report(&taken, Outcome::Failed).await.unwrap();
        world.clock.advance(Duration::from_secs(5));
        let taken = worker.lease(1).await.remove(0);
        world.clock.advance(Duration::from_millis(250));
        worker.report(&taken, Outcome::Succeeded).await.unwrap();
        let usage = || async {
            let (account, instance) = (ada.account, None);
            let list = ListUsage { account, instance, after: None, limit: None };
            ada.client.call(list).await.unwrap().items
        };
        let usage = eventually("billing is told", usage, |usage| usage.len() == 2).await;
        assert!(usage.iter().all(|event| event.meter == JOB_MILLISECONDS));
        assert_eq!(usage.iter().map(|event| event.quantity).collect::<Vec<_>>(), [1_500, 250]);
    }

    async fn what_a_database_made_anew_counts_is_no_repetition(world: &World) {
        let ada = world.sign_up("ada").await;
        // What a database told that was lost since, under the numbers that are next here.
        let event = UsageEvent {
            event: "job_lost".into(),
            at: world.clock.now(),
            account: ada.account,
            instance: InstanceId::named(&["forum"]),
            meter: JOB_MILLISECONDS.into(),
            quantity: 7,
            note: "migrate".into(),
        };
        let (source, events) = ("jobs".to_owned(), vec![event]);
        let told = RecordUsage { source, epoch: 1, first_sequence: 1, events };
        world.component("jobs").call(told).await.unwrap();
        let worker = Worker::join(world, "one").await;
        put(world, &job(&ada, 1, None)).await;
        let taken = worker.lease(1).await.remove(0);
        world.clock.advance(Duration::from_millis(1_500));
        worker.report(&taken, Outcome::Succeeded).await.unwrap();
        let usage = || async {
            let (account, instance) = (ada.account, None);
            let list = ListUsage { account, instance, after: None, limit: None };
            ada.client.call(list).await.unwrap().items
        };
        let usage = eventually("billing is told", usage, |usage| usage.len() == 2).await;
        assert_eq!(usage.iter().map(|event| event.quantity).sum::<u64>(), 1_507);
    }
}
