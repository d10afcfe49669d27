//! What can be queued, and what is refused whole.

use std::time::Duration;

use api::{
    Kind,
    jobs::{
        EnqueueJobs, GetInstanceJob, JobDefinition, JobState, ListInstanceJobs, NewJob, Outcome,
        PutJob, SETUP_CLASS, Unique, Until,
    },
};
use types::{AccountId, InstanceId, JobId};

use super::{Shop, Worker, definition, digest, name, release, work};

fn keyed(key: &str, until: Until) -> NewJob {
    NewJob { unique: Some(Unique { key: key.into(), until }), ..work() }
}

stories! {
    async fn a_request_that_cannot_be_done_changes_nothing_and_says_what_is_wrong(world: &World) {
        let shop = Shop::open(world).await;
        let long = "x".repeat(256 << 10);
        let wrong = [
            (NewJob { name: "worm".into(), ..work() }, "name", "it has `work`"),
            (NewJob { version: Some(2), ..work() }, "version", "up to version 1"),
            (NewJob { version: Some(0), ..work() }, "job", "versions begin with 1"),
            (NewJob { payload: long.into(), ..work() }, "job", "262146 bytes"),
            (NewJob { priority: Some(1_001), ..work() }, "job", "-1,000 and 1,000"),
            (NewJob { attempts: Some(0), ..work() }, "job", "1 to 100 times"),
            (NewJob { timeout_seconds: Some(86_401), ..work() }, "job", "a day"),
            (NewJob { after: vec![JobId::named(&["no"])], ..work() }, "after", "not a job of this"),
            (keyed("", Until::Ended), "job", "1 to 200 characters"),
            (keyed("k", Until::Seconds(0)), "job", "1 second to a year"),
            (NewJob { delay_seconds: Some(u32::MAX), ..work() }, "job", "a year"),
        ];
        for (job, code, part) in wrong {
            let refused = shop.asks(vec![work(), keyed("key", Until::Ended), job]).await.unwrap_err();
            assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, code), "{refused}");
            assert!(refused.detail.contains(part) && refused.detail.contains('3'), "{refused}");
        }
        for count in [0, 1_001] {
            assert_eq!(shop.asks(vec![work(); count]).await.unwrap_err().code, "batch");
        }
        let list = ListInstanceJobs {
            account: shop.account,
            instance: shop.instance,
            state: None,
            name: None,
            after: None,
            limit: None,
        };
        assert!(shop.operator.call(list).await.unwrap().items.is_empty());
        assert!(Worker::join(world, "one").await.lease(10).await.is_empty());
        let own = shop.queue_one(keyed("key", Until::Ended)).await;
        assert_eq!(shop.state(own).await, JobState::Ready, "the key was not taken");
    }

    async fn what_is_not_anothers_to_know_of_is_not_there(world: &World) {
        let shop = Shop::open(world).await;
        let job = shop.queue(1).await[0];
        let other = AccountId::named(&["eve"]);
        let enqueue = EnqueueJobs { account: other, instance: shop.instance, jobs: vec![work()] };
        assert_eq!(shop.operator.call(enqueue).await.unwrap_err().kind, Kind::NotFound);
        let get = GetInstanceJob { account: other, instance: shop.instance, job };
        assert_eq!(shop.operator.call(get).await.unwrap_err().kind, Kind::NotFound);
        let elsewhere = Shop::of(world, "forum", "two").await;
        let after = NewJob { after: vec![job], ..work() };
        assert_eq!(elsewhere.asks(vec![after]).await.unwrap_err().code, "after");
    }

    async fn a_key_is_one_job_for_as_long_as_it_says(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let both = vec![keyed("a", Until::Started), keyed("a", Until::Started), work()];
        let ids = shop.asks(both).await.unwrap();
        assert_eq!(ids[0], ids[1]);
        assert_ne!(ids[0], ids[2]);
        assert_eq!(shop.queue_one(keyed("a", Until::Ended)).await, ids[0]);
        assert_eq!(worker.lease(10).await.len(), 2);
        let until_ended = shop.queue_one(keyed("a", Until::Ended)).await;
        assert_ne!(until_ended, ids[0], "it was begun");
        let lease = worker.lease(1).await.remove(0);
        assert_eq!(shop.queue_one(keyed("a", Until::Ended)).await, until_ended, "it runs");
        worker.report(&lease, Outcome::Again).await;
        assert_eq!(shop.queue_one(keyed("a", Until::Ended)).await, until_ended, "it is tried again");
        world.advance(Duration::from_secs(2));
        let lease = worker.lease(1).await.remove(0);
        worker.report(&lease, Outcome::Succeeded).await;
        let by_time = shop.queue_one(keyed("a", Until::Seconds(60))).await;
        assert_ne!(by_time, until_ended, "it has ended");
        let lease = worker.lease(1).await.remove(0);
        worker.report(&lease, Outcome::Succeeded).await;
        assert_eq!(shop.queue_one(keyed("a", Until::Ended)).await, by_time, "the time is not over");
        world.advance(Duration::from_mins(1));
        assert_ne!(shop.queue_one(keyed("a", Until::Ended)).await, by_time);
        let elsewhere = Shop::of(world, "forum", "two").await;
        assert_ne!(elsewhere.queue_one(keyed("a", Until::Ended)).await, by_time);
    }

    async fn a_job_of_a_set_up_that_is_put_twice_is_one(world: &World) {
        let setup = JobDefinition { class: SETUP_CLASS.into(), ..definition() };
        let jobs = [("migrate", setup.clone()), ("seed", setup), ("work", definition())];
        let configurator = world.component("configurator");
        let put = |job: &str, after: Option<&str>| PutJob {
            job: JobId::named(&[job]),
            account: AccountId::named(&["ada"]),
            instance: InstanceId::named(&["one"]),
            service: name("forum"),
            release: digest("release"),
            name: job.into(),
            after: after.map(|after| JobId::named(&[after])),
            attempts: None,
        };
        let early = configurator.call(put("migrate", None)).await.unwrap_err();
        assert_eq!(early.kind, Kind::Unavailable, "the release may be on its way");
        release(world, "forum", "release", 1, &jobs).await;
        let first = configurator.call(put("migrate", None)).await.unwrap();
        assert_eq!(configurator.call(put("migrate", None)).await.unwrap(), first);
        let seed = configurator.call(put("seed", Some("migrate"))).await.unwrap();
        assert_eq!(seed.state, JobState::Blocked);
        let other = PutJob { instance: InstanceId::named(&["two"]), ..put("migrate", None) };
        assert_eq!(configurator.call(other).await.unwrap_err().code, "job_exists");
        let unknown = PutJob { name: "work".into(), ..put("x", None) };
        assert_eq!(configurator.call(unknown).await.unwrap_err().code, "name");
        // Nobody but the configurator sets up.
        let shop = Shop::of(world, "forum", "one").await;
        let migrate = NewJob { name: "migrate".into(), ..work() };
        assert_eq!(shop.asks(vec![migrate]).await.unwrap_err().code, "name");
        // It is done while the instance is closed, and by the release alone that it was put with.
        shop.is(world, api::jobs::InstanceState::Closed).await;
        let next = release(world, "forum", "next", 2, &jobs).await;
        let worker = Worker::join(world, "one").await;
        assert!(worker.lease_of(std::slice::from_ref(&next), 10).await.is_empty());
        let both = [digest("release"), next];
        let leases = worker.lease_of(&both, 10).await;
        assert_eq!((leases.len(), &leases[0].release), (1, &digest("release")));
        worker.report(&leases[0], Outcome::Succeeded).await;
        assert_eq!(worker.lease_of(&both, 10).await[0].name, "seed");
    }
}
