//! Leases: one worker at a time, and nobody who was thought dead.

use std::{sync::Mutex, time::Duration};

use api::{
    Client, Kind,
    billing::{JOB_MILLISECONDS, ListUsage, RecordUsage, UsageEvent},
    jobs::{
        DEFAULT_CLASS, GetJob, Job, JobState, Lease, LeaseJobs, ListQueues, Outcome, PutJob,
        Report, ReportJobs, SetQueue, Verdict,
    },
};
use types::{Clock as _, Digest, InstanceId, JobId, NodeId};

use crate::world::{Person, World, eventually, until};

fn job(person: &Person, number: i64, after: Option<JobId>) -> PutJob {
    PutJob {
        job: JobId::named(&["job", &number.to_string()]),
        account: person.account,
        instance: InstanceId::named(&["instance"]),
        service: "forum".parse().unwrap(),
        release: Digest::of(b"release"),
        name: format!("job-{number}"),
        command: vec!["true".into()],
        after,
        timeout_seconds: 60,
        attempts_max: 3,
    }
}

async fn put(world: &World, job: &PutJob) -> Job {
    world.component("configurator").call(job.clone()).await.unwrap()
}

async fn seen(world: &World, job: JobId) -> Job {
    world.component("configurator").call(GetJob { job }).await.unwrap()
}

fn pause(service: &types::Name, paused: bool) -> SetQueue {
    SetQueue { paused: Some(paused), ..SetQueue::of(service.clone(), DEFAULT_CLASS) }
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
        self.lease_of(&[Digest::of(b"release")], slots).await
    }

    /// Takes the job that waits and dies.
    async fn lose(&self, world: &World) {
        world.clock.advance(Duration::from_mins(10));
        let leases = self.lease(1).await;
        assert_eq!(leases.len(), 1);
        self.holding.lock().unwrap().clear();
        assert!(self.lease(1).await.is_empty(), "it is tried again after a pause");
    }

    async fn lease_of(&self, releases: &[Digest], slots: u32) -> Vec<Lease> {
        let releases = releases.to_vec();
        let holding = self.holding.lock().unwrap().clone();
        let lease = LeaseJobs { node: self.node, releases, holding, slots, wait_millis: 0 };
        let leases = self.client.call(lease).await.unwrap().leases;
        self.holding.lock().unwrap().extend(leases.iter().map(|lease| lease.job));
        leases
    }

    async fn report(&self, lease: &Lease, outcome: Outcome) -> Verdict {
        let (node, job, token) = (self.node, lease.job, lease.token);
        let output = "printed\0this".to_owned();
        let (progress, result, problem) = (None, None, None);
        let report = Report { job, token, outcome, output, progress, result, problem };
        let reports = self.client.call(ReportJobs { node, reports: vec![report] }).await.unwrap();
        reports.reports[0].verdict
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
            taken.extend(left.into_iter().chain(right).map(|lease| lease.job));
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
        worker.report(&leases[0], Outcome::Succeeded).await;
        assert_eq!(worker.lease(10).await[0].name, "job-2");
    }

    async fn a_worker_that_was_thought_dead_changes_nothing(world: &World) {
        let ada = world.sign_up("ada").await;
        let slow = Worker::join(world, "one").await;
        let quick = Worker::join(world, "two").await;
        put(world, &job(&ada, 1, None)).await;
        let lost = slow.lease(1).await.remove(0);
        slow.report(&lost, Outcome::Running).await;
        world.clock.advance(Duration::from_mins(1));
        let ask = || async {
            world.clock.advance(Duration::from_millis(500));
            quick.lease(1).await
        };
        let taken = eventually("the lease runs out", ask, |leases| !leases.is_empty()).await.remove(0);
        assert!(taken.token > lost.token && taken.attempt == 2);
        for outcome in [Outcome::Running, Outcome::Succeeded, Outcome::Again] {
            assert_eq!(slow.report(&lost, outcome).await, Verdict::Lost);
        }
        let own_node_old_token = Lease { token: lost.token, ..taken.clone() };
        assert_eq!(quick.report(&own_node_old_token, Outcome::Succeeded).await, Verdict::Lost);
        assert_eq!(quick.report(&taken, Outcome::Succeeded).await, Verdict::Kept);
        assert_eq!(seen(world, taken.job).await.state, JobState::Succeeded);
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
        assert_eq!(killed.report(&lost, Outcome::Succeeded).await, Verdict::Lost);
        other.report(&taken, Outcome::Succeeded).await;
    }

    async fn a_paused_queue_hands_out_nothing_and_holds_up_no_other(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        put(world, &job(&ada, 1, None)).await;
        // A release is one service's.
        let (service, release) = ("store".parse().unwrap(), Digest::of(b"another"));
        put(world, &PutJob { service, release, ..job(&ada, 2, None) }).await;
        let both = [Digest::of(b"release"), Digest::of(b"another")];
        let operator = world.operator().await;
        let forum: types::Name = "forum".parse().unwrap();
        let queue = operator.call(pause(&forum, true)).await.unwrap();
        assert_eq!((queue.paused, queue.jobs.ready), (true, 1));
        let leases = worker.lease_of(&both, 10).await;
        assert_eq!(leases.iter().map(|lease| lease.name.as_str()).collect::<Vec<_>>(), ["job-2"]);
        operator.call(pause(&forum, false)).await.unwrap();
        assert_eq!(worker.lease_of(&both, 10).await.len(), 1);
        let queues = operator.call(ListQueues::default()).await.unwrap().items;
        assert_eq!(queues.iter().map(|queue| queue.jobs.running).collect::<Vec<_>>(), [1, 1]);
    }

    async fn the_time_of_the_attempt_that_succeeds_is_billed_once(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        put(world, &job(&ada, 1, None)).await;
        let taken = worker.lease(1).await.remove(0);
        world.clock.advance(Duration::from_millis(1_500));
        worker.report(&taken, Outcome::Again).await;
        world.clock.advance(Duration::from_secs(5));
        let taken = worker.lease(1).await.remove(0);
        world.clock.advance(Duration::from_millis(250));
        worker.report(&taken, Outcome::Succeeded).await;
        let usage = || async {
            let (account, instance) = (ada.account, None);
            let list = ListUsage { account, instance, after: None, limit: None };
            ada.client.call(list).await.unwrap().items
        };
        let usage = eventually("billing is told", usage, |usage| !usage.is_empty()).await;
        assert!(usage.iter().all(|event| event.meter == JOB_MILLISECONDS));
        assert_eq!(usage.iter().map(|event| event.quantity).collect::<Vec<_>>(), [250]);
    }

    async fn queues_take_turns(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        for number in 1..=20 {
            put(world, &job(&ada, number, None)).await;
        }
        let release = Digest::of(b"another");
        let store = PutJob { service: "store".parse().unwrap(), release, ..job(&ada, 0, None) };
        for number in 21..=23 {
            let PutJob { job, name, .. } = job(&ada, number, None);
            put(world, &PutJob { job, name, ..store.clone() }).await;
        }
        let services = async |slots| -> Vec<String> {
            let releases = [Digest::of(b"release"), Digest::of(b"another")];
            let leases = worker.lease_of(&releases, slots).await;
            leases.iter().map(|lease| lease.service.to_string()).collect()
        };
        let mut first = services(4).await;
        first.sort();
        assert_eq!(first, ["forum", "forum", "store", "store"], "both have their share");
        let turns = [services(1).await, services(1).await].concat();
        assert!(turns.contains(&"store".to_owned()), "{turns:?}");
        assert_eq!(services(5).await, ["forum"; 5], "what one cannot use is the other's");
    }

    async fn what_comes_after_a_failure_fails_too(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        let first = PutJob { attempts_max: 1, ..job(&ada, 1, None) };
        let second = job(&ada, 2, Some(first.job));
        let third = job(&ada, 3, Some(second.job));
        for job in [&first, &second, &third] {
            put(world, job).await;
        }
        let lease = worker.lease(1).await.remove(0);
        worker.report(&lease, Outcome::Again).await;
        assert_eq!(seen(world, first.job).await.state, JobState::Failed);
        for job in [second, third] {
            let seen = seen(world, job.job).await;
            assert_eq!(seen.state, JobState::Failed);
            assert!(seen.problem.unwrap().contains("`job-"));
        }
        // Also what is put only afterwards.
        assert_eq!(put(world, &job(&ada, 4, Some(first.job))).await.state, JobState::Failed);
        let unknown = job(&ada, 5, Some(JobId::named(&["unknown"])));
        let refused = world.component("configurator").call(unknown).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, "after"));
    }

    async fn attempts_that_were_lost_are_counted_apart(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        let (first, second) = (job(&ada, 1, None), job(&ada, 2, None));
        put(world, &first).await;
        for _ in 0..5 {
            worker.lose(world).await;
        }
        world.clock.advance(Duration::from_mins(10));
        let lease = worker.lease(1).await.remove(0);
        assert_eq!((lease.attempt, seen(world, first.job).await.lost), (6, 5));
        worker.report(&lease, Outcome::Succeeded).await;
        assert_eq!(seen(world, first.job).await.state, JobState::Succeeded);
        put(world, &second).await;
        for _ in 0..10 {
            assert_ne!(seen(world, second.job).await.state, JobState::Failed);
            worker.lose(world).await;
        }
        let seen = seen(world, second.job).await;
        assert_eq!((seen.state, seen.lost), (JobState::Failed, 10));
        assert!(seen.problem.unwrap().contains("lost with its machine 10 times"));
    }

    async fn a_job_that_waits_follows_the_release_that_it_is_put_with(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        let first = job(&ada, 1, None);
        put(world, &first).await;
        let release = Digest::of(b"next");
        let next = PutJob { release: release.clone(), command: vec!["next".into()], ..first };
        put(world, &next).await;
        assert!(worker.lease(1).await.is_empty(), "the old release is not waited for");
        let lease = worker.lease_of(&[release], 1).await.remove(0);
        assert_eq!(lease.command, ["next"]);
    }

    async fn whoever_waits_is_told_for_what(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        let (first, second) = (job(&ada, 1, None), job(&ada, 2, Some(job(&ada, 1, None).job)));
        put(world, &first).await;
        put(world, &second).await;
        let waits_for = async |job| seen(world, job).await.waits_for.unwrap_or_default();
        assert!(waits_for(first.job).await.contains(Digest::of(b"release").short()));
        assert!(waits_for(second.job).await.contains("`job-1`"));
        let queue = |paused| pause(&"forum".parse().unwrap(), paused);
        let operator = world.operator().await;
        operator.call(queue(true)).await.unwrap();
        assert!(waits_for(first.job).await.contains("paused"));
        operator.call(queue(false)).await.unwrap();
        let lease = worker.lease(1).await.remove(0);
        assert_eq!(waits_for(first.job).await, "");
        worker.report(&lease, Outcome::Again).await;
        assert!(waits_for(first.job).await.contains("next attempt, at 2026-12-01T00:00:01"));
    }

    async fn jobs_that_ended_long_ago_are_forgotten(world: &World) {
        let ada = world.sign_up("ada").await;
        let worker = Worker::join(world, "one").await;
        let (ended, waiting) = (job(&ada, 1, None), job(&ada, 2, None));
        put(world, &ended).await;
        let lease = worker.lease(1).await.remove(0);
        worker.report(&lease, Outcome::Succeeded).await;
        put(world, &waiting).await;
        world.clock.advance(Duration::from_hours(29 * 24));
        put(world, &job(&ada, 3, None)).await;
        assert_eq!(seen(world, ended.job).await.state, JobState::Succeeded);
        world.clock.advance(Duration::from_hours(2 * 24));
        put(world, &job(&ada, 4, None)).await;
        let gone = async || {
            let get = GetJob { job: ended.job };
            let asked = world.component("configurator").call(get).await;
            asked.is_err_and(|problem| problem.kind == Kind::NotFound)
        };
        until("it is forgotten", gone).await;
        assert_eq!(seen(world, waiting.job).await.state, JobState::Ready);
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
        worker.report(&taken, Outcome::Succeeded).await;
        let usage = || async {
            let (account, instance) = (ada.account, None);
            let list = ListUsage { account, instance, after: None, limit: None };
            ada.client.call(list).await.unwrap().items
        };
        let usage = eventually("billing is told", usage, |usage| usage.len() == 2).await;
        assert_eq!(usage.iter().map(|event| event.quantity).sum::<u64>(), 1_507);
    }
}
