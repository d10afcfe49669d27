//! Pauses, gates, drains, closed instances, and what is counted and forgotten.

use std::time::Duration;

use api::{
    Kind,
    jobs::{
        Counts, DrainState, Gate, GetJob, GetQueue, InstanceState, JobDefinition, JobState,
        ListQueues, NewJob, Outcome, Queue, SETUP_CLASS, SetQueue,
    },
};

use super::{Shop, Worker, change, definition, digest, name, release, tables, work};
use crate::world::{eventually, until};

async fn set(shop: &Shop, change: SetQueue) -> Queue {
    shop.operator.call(change).await.unwrap()
}

stories! {
    async fn a_paused_queue_hands_out_nothing_and_holds_up_no_other(world: &World) {
        let slow = JobDefinition { class: "slow".into(), ..definition() };
        release(world, "forum", "release", 1, &[("work", definition()), ("slow", slow)]).await;
        let shop = Shop::of(world, "forum", "one").await;
        let jobs = vec![work(), NewJob { name: "slow".into(), ..NewJob::default() }];
        let ids = shop.asks(jobs).await.unwrap();
        let worker = Worker::join(world, "one").await;
        let queue = set(&shop, SetQueue { paused: Some(true), ..change("forum") }).await;
        assert_eq!((queue.paused, queue.jobs.ready), (true, 1));
        assert!(shop.seen(ids[0]).await.waits_for.unwrap().contains("paused"));
        let leases = worker.lease(10).await;
        assert_eq!(leases.iter().map(|lease| lease.name.as_str()).collect::<Vec<_>>(), ["slow"]);
        set(&shop, SetQueue { paused: Some(false), ..change("forum") }).await;
        assert_eq!(worker.lease(10).await.len(), 1);
        let queues = shop.operator.call(ListQueues::default()).await.unwrap().items;
        let running: Vec<_> =
            queues.iter().map(|queue| (queue.class.as_str(), queue.jobs.running)).collect();
        assert_eq!(running, [("default", 1), ("setup", 0), ("slow", 1)]);
        let unknown = SetQueue { paused: Some(true), ..SetQueue::of(name("forum"), "none") };
        assert_eq!(shop.operator.call(unknown).await.unwrap_err().kind, Kind::NotFound);
    }

    async fn a_gate_refuses_or_holds_what_is_new(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let old = shop.queue(1).await[0];
        set(&shop, SetQueue { gate: Some(Gate::Refuse), ..change("forum") }).await;
        let refused = shop.asks(vec![work()]).await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (503, "gate_closed"));
        assert_eq!(refused.retry_after, Some(30));
        for gate in [Gate::Refuse, Gate::Hold] {
            let setups = SetQueue::of(name("forum"), SETUP_CLASS);
            let refused = shop.operator.call(SetQueue { gate: Some(gate), ..setups }).await;
            assert_eq!(refused.unwrap_err().code, "gate", "whoever ordered waits for them");
        }
        // One that was closed before that was refused can be paused all the same.
        let db = tables(world).await;
        let close = db::query("update queue set gate = 'refuse' where class = ?");
        assert_eq!(close.bind(SETUP_CLASS).run(&db).await.unwrap(), 1);
        db.close().await;
        let setups = SetQueue::of(name("forum"), SETUP_CLASS);
        set(&shop, SetQueue { paused: Some(true), ..setups }).await;
        set(&shop, SetQueue { gate: Some(Gate::Hold), ..change("forum") }).await;
        let held = shop.queue_one(NewJob { after: vec![old], ..work() }).await;
        let later = shop.queue_one(NewJob { delay_seconds: Some(3_600), ..work() }).await;
        assert_eq!(shop.state(held).await, JobState::Held);
        let leases = worker.lease(10).await;
        assert_eq!(leases.iter().map(|lease| lease.job).collect::<Vec<_>>(), [old]);
        let drain = SetQueue { drain_seconds: Some(10), ..change("forum") };
        let drained = set(&shop, drain.clone()).await.drain.unwrap();
        assert_eq!((drained.left, drained.state), (1, DrainState::Draining));
        world.advance(Duration::from_secs(10));
        let asked = || async {
            let queues = shop.operator.call(ListQueues::default()).await.unwrap().items;
            queues.into_iter().find(|queue| queue.class == "default").unwrap()
        };
        assert_eq!(asked().await.drain.unwrap().state, DrainState::Overdue);
        worker.report(&leases[0], Outcome::Succeeded).await;
        let emptied = eventually("the old one is done", asked, |queue| queue.jobs.running == 0).await;
        assert_eq!(emptied.drain.unwrap().state, DrainState::Empty);
        assert_eq!(emptied.jobs.held, 2);
        assert_eq!(shop.state(held).await, JobState::Held, "also once the job before it is done");
        let opened = set(&shop, SetQueue { gate: Some(Gate::Open), ..change("forum") }).await;
        assert!(opened.drain.is_none());
        until("what was held goes on", async || shop.state(held).await == JobState::Ready).await;
        until("or waits", async || shop.state(later).await == JobState::Delayed).await;
        assert_eq!(worker.lease(10).await.len(), 1);
        let refused = shop.operator.call(drain).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, "drain"));
    }

    async fn a_closed_instances_jobs_wait_and_an_ended_ones_are_dropped(world: &World) {
        let shop = Shop::open(world).await;
        let other = Shop::of(world, "forum", "two").await;
        let worker = Worker::join(world, "one").await;
        let runs = shop.queue(1).await[0];
        let lease = worker.lease(1).await.remove(0);
        shop.is(world, InstanceState::Closed).await;
        let ready = shop.queue(1).await[0];
        let delayed = shop.queue_one(NewJob { delay_seconds: Some(60), ..work() }).await;
        let blocked = shop.queue_one(NewJob { after: vec![runs], ..work() }).await;
        other.queue(1).await;
        let leases = worker.lease(10).await;
        assert_eq!(leases.iter().map(|l| l.instance).collect::<Vec<_>>(), [other.instance]);
        assert!(shop.seen(ready).await.waits_for.unwrap().contains("closed"));
        shop.is(world, InstanceState::Open).await;
        let taken = worker.lease(1).await.remove(0);
        assert_eq!(taken.job, ready);
        shop.is(world, InstanceState::Ended).await;
        let dropped = async |job| shop.state(job).await == JobState::Dropped;
        until("what waits is dropped", async || {
            dropped(delayed).await && dropped(blocked).await
        })
        .await;
        assert_eq!(shop.seen(delayed).await.problem.unwrap(), "its instance has ended");
        let ordered = api::jobs::Verdict::Stop;
        until("what runs is stopped", async || {
            worker.report(&lease, Outcome::Running).await == ordered
        })
        .await;
        worker.report(&lease, Outcome::Cancelled).await;
        assert_eq!(shop.state(runs).await, JobState::Cancelled);
        let refused = shop.asks(vec![work()]).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "instance_ended"));
    }

    async fn counters_say_what_there_is(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let ids = shop.queue(4).await;
        shop.queue_one(NewJob { delay_seconds: Some(60), ..work() }).await;
        shop.queue_one(NewJob { after: vec![ids[3]], ..work() }).await;
        let leases = worker.lease(3).await;
        worker.report(&leases[0], Outcome::Succeeded).await;
        worker.report(&leases[1], Outcome::Refused).await;
        let get = GetQueue { service: name("forum"), class: "default".into() };
        let seen = shop.operator.call(get).await.unwrap();
        let counted =
            Counts { ready: 1, delayed: 1, blocked: 1, running: 1, failed: 1, ..Counts::default() };
        assert_eq!(seen.queue.jobs, counted);
        assert_eq!(seen.kinds.len(), 1);
        assert_eq!((seen.kinds[0].version, seen.kinds[0].jobs), (1, counted));
    }

    async fn jobs_that_ended_long_ago_are_forgotten(world: &World) {
        let kept = JobDefinition { keep_seconds: 600, ..definition() };
        release(world, "forum", "release", 1, &[("work", kept)]).await;
        let shop = Shop::of(world, "forum", "one").await;
        let worker = Worker::join(world, "one").await;
        let jobs = shop.queue(3).await;
        let leases = worker.lease_of(&[digest("release")], 2).await;
        worker.report(&leases[0], Outcome::Succeeded).await;
        worker.report(&leases[1], Outcome::Refused).await;
        world.advance(Duration::from_secs(599));
        shop.queue(1).await;
        for job in &jobs {
            shop.seen(*job).await;
        }
        world.advance(Duration::from_secs(2));
        shop.queue(1).await;
        for job in &jobs[..2] {
            let gone = async || {
                let asked = shop.operator.call(GetJob { job: *job }).await;
                asked.is_err_and(|problem| problem.kind == Kind::NotFound)
            };
            until("it is forgotten", gone).await;
        }
        assert_eq!(shop.state(jobs[2]).await, JobState::Ready);
        let queues = shop.operator.call(ListQueues::default()).await.unwrap().items;
        assert_eq!(queues[0].jobs.failed, 0, "it is not counted any more");
    }
}
