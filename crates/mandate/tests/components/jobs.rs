//! Leases: one worker at a time, and nobody who was thought dead.

use std::time::Duration;

use api::{
    Client, Kind,
    billing::{JOB_MILLISECONDS, ListUsage},
    jobs::{Job, JobState, Lease, LeaseJobs, ListQueues, Outcome, PutJob, ReportJob, SetQueue},
};
use types::{Digest, InstanceId, JobId, NodeId};

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

async fn lease(client: &Client, node: NodeId, slots: u32) -> Vec<Lease> {
    let releases = vec![Digest::of(b"release")];
    client.call(LeaseJobs { node, releases, slots, wait_millis: 0 }).await.unwrap().leases
}

async fn report(
    client: &Client,
    node: NodeId,
    lease: &Lease,
    outcome: Outcome,
) -> Result<JobState, api::Problem> {
    let (job, token) = (lease.job.job, lease.token);
    let output = "printed\0this".to_owned();
    let report = ReportJob { node, job, token, outcome, output };
    client.call(report).await.map(|reported| reported.state)
}

stories! {
    async fn a_job_put_twice_is_one(world: &World) {
        let ada = world.sign_up("ada").await;
        let (node, client) = world.node("one").await;
        let first = put(world, &job(&ada, 1, None)).await;
        assert_eq!(put(world, &job(&ada, 1, None)).await, first);
        assert_eq!(lease(&client, node, 10).await.len(), 1);
        assert!(lease(&client, node, 10).await.is_empty());
    }

    async fn no_job_is_leased_to_two(world: &World) {
        let ada = world.sign_up("ada").await;
        for number in 1..=20 {
            put(world, &job(&ada, number, None)).await;
        }
        let (one, a) = world.node("one").await;
        let (two, b) = world.node("two").await;
        let mut taken = Vec::new();
        while taken.len() < 20 {
            let (left, right) = tokio::join!(lease(&a, one, 3), lease(&b, two, 3));
            taken.extend(left.into_iter().chain(right).map(|lease| lease.job.job));
        }
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 20);
    }

    async fn one_waits_for_the_one_before(world: &World) {
        let ada = world.sign_up("ada").await;
        let (node, client) = world.node("one").await;
        let first = job(&ada, 1, None);
        put(world, &first).await;
        put(world, &job(&ada, 2, Some(first.job))).await;
        let leases = lease(&client, node, 10).await;
        assert_eq!(leases.len(), 1);
        report(&client, node, &leases[0], Outcome::Succeeded).await.unwrap();
        assert_eq!(lease(&client, node, 10).await[0].job.name, "job-2");
    }

    async fn a_worker_that_was_thought_dead_changes_nothing(world: &World) {
        let ada = world.sign_up("ada").await;
        let (one, slow) = world.node("one").await;
        let (two, quick) = world.node("two").await;
        put(world, &job(&ada, 1, None)).await;
        let lost = lease(&slow, one, 1).await.remove(0);
        report(&slow, one, &lost, Outcome::Running).await.unwrap();
        world.clock.advance(Duration::from_mins(1));
        let ask = || async {
            world.clock.advance(Duration::from_millis(500));
            lease(&quick, two, 1).await
        };
        let taken = eventually("the lease runs out", ask, |leases| !leases.is_empty()).await.remove(0);
        assert!(taken.token > lost.token && taken.job.attempts == 2);
        for outcome in [Outcome::Running, Outcome::Succeeded, Outcome::Failed] {
            let refused = report(&slow, one, &lost, outcome).await.unwrap_err();
            assert_eq!(refused.kind, Kind::Conflict, "{refused}");
        }
        let own_node_old_token = Lease { token: lost.token, ..taken.clone() };
        assert!(report(&quick, two, &own_node_old_token, Outcome::Succeeded).await.is_err());
        let state = report(&quick, two, &taken, Outcome::Succeeded).await.unwrap();
        assert_eq!(state, JobState::Succeeded);
    }

    async fn a_paused_queue_hands_out_nothing_and_holds_up_no_other(world: &World) {
        let ada = world.sign_up("ada").await;
        let (node, client) = world.node("one").await;
        put(world, &job(&ada, 1, None)).await;
        put(world, &PutJob { service: "store".parse().unwrap(), ..job(&ada, 2, None) }).await;
        let operator = world.operator().await;
        let forum: types::Name = "forum".parse().unwrap();
        let queue = operator.call(SetQueue { service: forum.clone(), paused: true }).await.unwrap();
        assert_eq!((queue.paused, queue.queued), (true, 1));
        let leases = lease(&client, node, 10).await;
        assert_eq!(leases.iter().map(|lease| lease.job.name.as_str()).collect::<Vec<_>>(), ["job-2"]);
        operator.call(SetQueue { service: forum, paused: false }).await.unwrap();
        assert_eq!(lease(&client, node, 10).await.len(), 1);
        let queues = operator.call(ListQueues::default()).await.unwrap().items;
        assert_eq!(queues.iter().map(|queue| queue.running).collect::<Vec<_>>(), [1, 1]);
    }

    async fn the_time_of_each_attempt_is_billed_once(world: &World) {
        let ada = world.sign_up("ada").await;
        let (node, client) = world.node("one").await;
        put(world, &job(&ada, 1, None)).await;
        let taken = lease(&client, node, 1).await.remove(0);
        world.clock.advance(Duration::from_millis(1_500));
        report(&client, node, &taken, Outcome::Failed).await.unwrap();
        world.clock.advance(Duration::from_secs(5));
        let taken = lease(&client, node, 1).await.remove(0);
        world.clock.advance(Duration::from_millis(250));
        report(&client, node, &taken, Outcome::Succeeded).await.unwrap();
        let usage = || async {
            let (account, instance) = (ada.account, None);
            let list = ListUsage { account, instance, after: None, limit: None };
            ada.client.call(list).await.unwrap().items
        };
        let usage = eventually("billing is told", usage, |usage| usage.len() == 2).await;
        assert!(usage.iter().all(|event| event.meter == JOB_MILLISECONDS));
        assert_eq!(usage.iter().map(|event| event.quantity).collect::<Vec<_>>(), [1_500, 250]);
    }
}
