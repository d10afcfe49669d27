//! Whose job is next.

use std::time::Duration;

use api::jobs::{JobDefinition, NewJob, Outcome, PutJob, SETUP_CLASS};
use types::{AccountId, InstanceId, JobId};

use super::{Shop, Worker, change, definition, digest, name, release, work};

stories! {
    async fn a_flood_does_not_delay_anothers_first_job(world: &World) {
        let flood = Shop::open(world).await;
        for _ in 0..5 {
            flood.queue(1_000).await;
        }
        let worker = Worker::join(world, "one").await;
        worker.lease(10).await;
        let other = Shop::of(world, "forum", "two").await;
        other.queue(3).await;
        let leases = worker.lease(1).await;
        assert_eq!(leases[0].instance, other.instance, "it is first");
        let mut shared: Vec<_> = worker.lease(4).await.iter().map(|l| l.instance).collect();
        shared.sort();
        let mut fair = vec![flood.instance, flood.instance, other.instance, other.instance];
        fair.sort();
        assert_eq!(shared, fair, "both have their share");
        let rest = worker.lease(3).await;
        assert!(rest.iter().all(|lease| lease.instance == flood.instance), "what is left is taken");
    }

    async fn a_flood_of_one_service_does_not_delay_anothers_first_job(world: &World) {
        let flood = Shop::open(world).await;
        let both = [digest("release"), release(world, "store", "other", 1, &[("work", definition())]).await];
        for _ in 0..3 {
            flood.queue(1_000).await;
        }
        let worker = Worker::join(world, "one").await;
        worker.lease_of(&both, 10).await;
        let store = Shop::of(world, "store", "two").await;
        store.queue(2).await;
        let mut shared: Vec<_> = Vec::new();
        for _ in 0..4 {
            shared.push(worker.lease_of(&both, 1).await[0].instance);
        }
        let place = shared.iter().position(|instance| *instance == store.instance);
        assert!(place.is_some_and(|place| place <= 1), "at most one job of the other's comes before: {shared:?}");
        let fair = shared.iter().filter(|instance| **instance == store.instance).count();
        assert_eq!(fair, 2, "both have their share: {shared:?}");
    }

    async fn turns_go_round_one_by_one(world: &World) {
        let shops = [Shop::open(world).await, Shop::of(world, "forum", "two").await];
        let third = Shop::of(world, "forum", "three").await;
        for shop in shops.iter().chain([&third]) {
            shop.queue(3).await;
        }
        let worker = Worker::join(world, "one").await;
        let mut served = Vec::new();
        for _ in 0..9 {
            served.push(worker.lease(1).await[0].instance);
        }
        for round in served.chunks(3) {
            let mut round = round.to_vec();
            round.sort();
            round.dedup();
            assert_eq!(round.len(), 3, "each has had one before anybody has two: {served:?}");
        }
    }

    async fn an_instances_jobs_come_by_priority_and_then_as_they_were_sent(world: &World) {
        let jobs = [
            ("work", definition()),
            ("mail", JobDefinition { priority: 5, ..definition() }),
        ];
        release(world, "forum", "release", 1, &jobs).await;
        let shop = Shop::of(world, "forum", "one").await;
        let job = |name: &str, priority| NewJob { name: name.into(), priority, ..NewJob::default() };
        let ids = shop
            .asks(vec![
                job("work", None),
                job("work", None),
                job("work", Some(9)),
                job("mail", None),
                job("mail", Some(-1)),
            ])
            .await
            .unwrap();
        let worker = Worker::join(world, "one").await;
        let first = worker.lease(3).await;
        let rest = worker.lease(10).await;
        let got: Vec<_> = first.iter().chain(&rest).map(|lease| lease.job).collect();
        assert_eq!(got, [ids[2], ids[3], ids[0], ids[1], ids[4]]);
    }

    async fn a_set_up_does_not_wait_for_long_jobs_of_others(world: &World) {
        let setup = JobDefinition { class: SETUP_CLASS.into(), ..definition() };
        let jobs = [("migrate", setup), ("work", definition())];
        let this = [release(world, "forum", "release", 1, &jobs).await];
        let shop = Shop::of(world, "forum", "one").await;
        shop.queue(3).await;
        let worker = Worker::join(world, "one").await;
        assert_eq!(worker.lease_beside(&this, 2, 1).await.len(), 2, "two are long, and one waits");
        let put = PutJob {
            job: JobId::named(&["migrate"]),
            account: AccountId::named(&["ada"]),
            instance: InstanceId::named(&["two"]),
            service: name("forum"),
            release: digest("release"),
            name: "migrate".into(),
            after: None,
            attempts: None,
        };
        world.component("configurator").call(put).await.unwrap();
        assert!(worker.lease_beside(&this, 0, 0).await.is_empty());
        let leased = worker.lease_beside(&this, 0, 1).await;
        assert_eq!(leased.iter().map(|lease| lease.name.as_str()).collect::<Vec<_>>(), ["migrate"]);
    }

    async fn no_more_run_at_once_than_may(world: &World) {
        let limited = JobDefinition {
            concurrency: Some(3),
            concurrency_per_instance: Some(2),
            ..definition()
        };
        release(world, "forum", "release", 1, &[("work", limited), ("free", definition())]).await;
        let (one, two) =
            (Shop::of(world, "forum", "one").await, Shop::of(world, "forum", "two").await);
        one.queue(5).await;
        two.queue(5).await;
        one.queue_one(NewJob { name: "free".into(), ..NewJob::default() }).await;
        let worker = Worker::join(world, "one").await;
        let leases = worker.lease(100).await;
        let of = |shop: &Shop| {
            leases.iter().filter(|l| l.name == "work" && l.instance == shop.instance).count()
        };
        assert_eq!(of(&one) + of(&two), 3, "of all instances");
        assert!(of(&one) <= 2 && of(&two) <= 2, "of one instance");
        assert_eq!(leases.iter().filter(|lease| lease.name == "free").count(), 1);
        assert!(worker.lease(100).await.is_empty());
        let done = leases.iter().find(|lease| lease.name == "work").unwrap();
        worker.report(done, Outcome::Succeeded).await;
        assert_eq!(worker.lease(100).await.len(), 1);
        // The operator's limit is for the whole queue.
        let limit = |most| api::jobs::SetQueue { concurrency: Some(most), ..change("forum") };
        one.operator.call(limit(4)).await.unwrap();
        one.queue_one(NewJob { name: "free".into(), ..NewJob::default() }).await;
        assert!(worker.lease(100).await.is_empty(), "four run");
        one.operator.call(limit(0)).await.unwrap();
        assert_eq!(worker.lease(100).await.len(), 1);
    }

    async fn what_is_not_due_waits_and_holds_up_nobody(world: &World) {
        let shop = Shop::open(world).await;
        let later = NewJob { delay_seconds: Some(60), ..work() };
        let at = NewJob { not_before: Some("2026-12-01T00:00:30Z".parse().unwrap()), ..work() };
        let ids = shop.asks(vec![later, at, work()]).await.unwrap();
        let worker = Worker::join(world, "one").await;
        let release = [digest("release")];
        let done = async || -> Vec<_> {
            worker.do_all(&release).await.into_iter().map(|lease| lease.job).collect()
        };
        assert_eq!(done().await, [ids[2]]);
        world.advance(Duration::from_secs(30));
        assert_eq!(done().await, [ids[1]]);
        world.advance(Duration::from_secs(30));
        assert_eq!(done().await, [ids[0]]);
    }
}
