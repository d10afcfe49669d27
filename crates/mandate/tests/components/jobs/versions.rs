//! Which release does which job.

use std::collections::BTreeMap;

use api::jobs::{
    EnqueueJobs, Gate, GetQueue, Instance, InstanceState, JobDefinition, JobState, ListJobs,
    NewJob, Outcome, PutInstances, PutJobs,
};
use types::{Digest, InstanceId};

use super::{Shop, Worker, definition, digest, name, release, work};
use crate::world::{World, until};

fn accepts(oldest: u32, newest: u32) -> JobDefinition {
    JobDefinition { version: newest, oldest, newest, ..definition() }
}

fn of_version(version: u32) -> NewJob {
    NewJob { version: Some(version), ..work() }
}

/// Makes a release current that accepts these versions.
async fn publish(world: &World, tag: &str, turn: u64, oldest: u32, newest: u32) -> Digest {
    release(world, "forum", tag, turn, &[("work", accepts(oldest, newest))]).await
}

stories! {
    async fn a_worker_gets_what_its_releases_accept(world: &World) {
        let old = publish(world, "old", 1, 1, 2).await;
        let new = publish(world, "new", 2, 2, 3).await;
        let shop = Shop::of(world, "forum", "one").await;
        let jobs = vec![work(), of_version(2), of_version(3)];
        let ids = shop.asks(jobs).await.unwrap();
        let (behind, ahead) = (Worker::join(world, "one").await, Worker::join(world, "two").await);
        let got = |leases: &[api::jobs::Lease]| -> Vec<_> {
            leases.iter().map(|lease| (lease.job, lease.release.clone())).collect()
        };
        let leases = ahead.lease_of(std::slice::from_ref(&new), 10).await;
        let mut both = got(&leases);
        both.sort();
        let mut expected = vec![(ids[1], new.clone()), (ids[2], new.clone())];
        expected.sort();
        assert_eq!(both, expected);
        let leases = behind.lease_of(std::slice::from_ref(&old), 10).await;
        assert_eq!(got(&leases), [(ids[0], old.clone())], "no version is version 1");
        let job = shop.queue_one(of_version(2)).await;
        let leases = behind.lease_of(&[old.clone(), new.clone()], 10).await;
        assert_eq!(got(&leases), [(job, new)], "the current release comes first");
    }

    async fn jobs_are_done_by_the_release_that_their_instance_is_on(world: &World) {
        let old = publish(world, "old", 1, 1, 2).await;
        let (one, two) = (Shop::of(world, "forum", "one").await, Shop::of(world, "forum", "two").await);
        let new = publish(world, "new", 2, 2, 3).await;
        two.is(world, InstanceState::Open).await;
        // Each has the jobs that its own release knows.
        assert_eq!(one.asks(vec![of_version(3)]).await.unwrap_err().code, "version");
        let (of_one, of_two) = (one.queue_one(of_version(2)).await, two.queue_one(of_version(2)).await);
        let left = two.queue(1).await[0];
        let worker = Worker::join(world, "one").await;
        let got = |leases: Vec<api::jobs::Lease>| {
            let got = leases.into_iter().map(|lease| (lease.job, lease.release));
            got.collect::<BTreeMap<_, _>>()
        };
        // What a node that has only one of them can do for nobody holds up nobody.
        let leases = got(worker.lease_of(std::slice::from_ref(&new), 10).await);
        assert_eq!(leases, [(of_two, new.clone())].into());
        let both = [old.clone(), new.clone()];
        let leases = got(worker.lease_of(&both, 10).await);
        assert_eq!(leases, [(of_one, old.clone()), (left, old.clone())].into(), "version 1 is the old one's");
        // What waits is done by the release that its instance has moved to.
        let moved = one.queue_one(of_version(2)).await;
        one.is(world, InstanceState::Open).await;
        assert_eq!(got(worker.lease_of(&both, 10).await), [(moved, new)].into());
        let unknown = digest("unknown");
        let on = |release| Instance {
            account: one.account,
            service: one.service.clone(),
            release,
            state: InstanceState::Open,
            gate: Gate::Open,
        };
        let other = InstanceId::named(&["another"]);
        let instances = [(one.instance, on(unknown.clone())), (other, on(old.clone()))].into();
        let told = world.component("configurator").call(PutInstances { instances }).await.unwrap();
        assert_eq!(told.releases, [unknown].into(), "it may be on its way");
        let ask = EnqueueJobs { account: one.account, instance: other, jobs: vec![work()] };
        world.operator().await.call(ask).await.expect("what is on a known one was kept");
        drop(old);
    }

    async fn what_no_release_accepts_is_stranded_until_one_does(world: &World) {
        let old = publish(world, "old", 1, 1, 1).await;
        let shop = Shop::of(world, "forum", "one").await;
        let worker = Worker::join(world, "one").await;
        assert!(worker.lease_of(std::slice::from_ref(&old), 1).await.is_empty());
        let job = shop.queue(1).await[0];
        let new = publish(world, "new", 2, 2, 3).await;
        shop.is(world, InstanceState::Open).await;
        assert_eq!(shop.state(job).await, JobState::Ready, "a living node has the old release");
        worker.lease_of(std::slice::from_ref(&new), 0).await;
        // Looked at when something changes.
        shop.queue_one(of_version(3)).await;
        until("it is stranded", async || shop.state(job).await == JobState::Stranded).await;
        let seen = shop.seen(job).await;
        assert!(seen.waits_for.unwrap().contains("accepts version 1 of `work`"));
        let get = GetQueue { service: name("forum"), class: "default".into() };
        let counted = shop.operator.call(get).await.unwrap();
        assert_eq!((counted.queue.jobs.stranded, counted.queue.jobs.ready), (1, 1));
        let kinds: Vec<_> =
            counted.kinds.iter().map(|kind| (kind.version, kind.jobs.stranded)).collect();
        assert_eq!(kinds, [(1, 1), (3, 0)]);
        let stranded = ListJobs { state: Some(JobState::Stranded), ..ListJobs::default() };
        assert_eq!(shop.operator.call(stranded).await.unwrap().items.len(), 1);
        let leases = worker.lease_of(std::slice::from_ref(&new), 10).await;
        assert_eq!(leases.iter().map(|lease| lease.version).collect::<Vec<_>>(), [3]);
        assert_eq!(shop.seen(job).await.attempts, 0, "none is consumed");
        let newest = publish(world, "newest", 3, 1, 4).await;
        shop.is(world, InstanceState::Open).await;
        until("it is ready", async || shop.state(job).await == JobState::Ready).await;
        assert_eq!(worker.lease_of(&[newest], 10).await[0].job, job);
    }

    async fn an_older_payload_is_upgraded_first(world: &World) {
        let upgrade = Some(vec!["./app".to_owned(), "upgrade-payload".to_owned()]);
        let upgrading = JobDefinition { upgrade, ..accepts(1, 3) };
        let new = release(world, "forum", "new", 1, &[("work", upgrading)]).await;
        let shop = Shop::of(world, "forum", "one").await;
        shop.asks(vec![of_version(1), of_version(3)]).await.unwrap();
        let worker = Worker::join(world, "one").await;
        let mut leases = worker.lease_of(&[new], 10).await;
        leases.sort_by_key(|lease| lease.version);
        let upgrade = leases[0].upgrade.as_ref().unwrap();
        assert_eq!((upgrade.from, upgrade.to), (1, 3));
        assert_eq!(upgrade.command, ["./app", "upgrade-payload"]);
        assert_eq!((leases[1].version, &leases[1].upgrade), (3, &None));
        assert!(worker.do_all(&[digest("new")]).await.is_empty());
    }

    async fn a_version_ahead_of_the_release_is_refused_unless_it_is_accepted(world: &World) {
        let ahead = JobDefinition { newest: 5, ..accepts(1, 2) };
        release(world, "forum", "old", 1, &[("work", ahead)]).await;
        let shop = Shop::of(world, "forum", "one").await;
        shop.asks(vec![of_version(5)]).await.unwrap();
        let refused = shop.asks(vec![of_version(5), of_version(6)]).await.unwrap_err();
        assert_eq!(refused.code, "version");
        assert!(refused.detail.contains("job 2") && refused.detail.contains("up to version 5"));
    }

    async fn a_release_that_contradicts_itself_is_refused(world: &World) {
        let wrong = [
            accepts(2, 1),
            JobDefinition { version: 4, ..accepts(1, 3) },
            JobDefinition { command: vec![], ..definition() },
            JobDefinition { concurrency: Some(0), ..definition() },
        ];
        for wrong in wrong {
            let jobs = [("work".to_owned(), wrong)].into();
            let (service, release) = (name("forum"), digest("new"));
            let put = PutJobs { service, release, jobs, schema: 0, compatible: false };
            let refused = world.component("releases").call(put).await.unwrap_err();
            assert_eq!(refused.code, "definition");
            assert!(refused.detail.contains("`work`"), "{refused}");
        }
    }

    async fn a_later_promotion_stands_whatever_comes_late(world: &World) {
        let shop = Shop::open(world).await;
        let two = publish(world, "two", 5, 1, 2).await;
        publish(world, "one", 4, 1, 1).await;
        shop.is_on(world, two.clone(), InstanceState::Open).await;
        shop.asks(vec![of_version(2)]).await.unwrap();
        let worker = Worker::join(world, "one").await;
        let lease = worker.lease_of(&[two], 1).await.remove(0);
        worker.report(&lease, Outcome::Succeeded).await;
    }
}
