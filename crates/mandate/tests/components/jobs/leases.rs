//! Leases, and what becomes of jobs whose workers are lost.

use std::time::Duration;

use api::{
    billing::{JOB_MILLISECONDS, ListUsage, RecordUsage, UsageEvent},
    jobs::{
        BeginUsage, InstanceState, JobState, LEASES_BYTES_MAX, Lease, NewJob, Outcome, Progress,
        Report, Verdict,
    },
};
use types::InstanceId;

use super::{Shop, Worker, definition, digest, now, release, report, tables, work};
use crate::world::{Person, World, eventually};

/// An instance whose jobs somebody pays for.
async fn billed_to(world: &World, person: &Person) -> Shop {
    let shop = Shop::of(world, "forum", "none").await;
    let shop = Shop { account: person.account, instance: InstanceId::named(&["billed"]), ..shop };
    shop.is(world, InstanceState::Open).await;
    shop
}

async fn usage(person: &Person) -> Vec<UsageEvent> {
    let (account, instance) = (person.account, None);
    let list = ListUsage { account, instance, after: None, limit: None };
    person.client.call(list).await.unwrap().items
}

stories! {
    async fn no_job_is_leased_to_two(world: &World) {
        let shop = Shop::open(world).await;
        shop.queue(20).await;
        let (a, b) = (Worker::join(world, "one").await, Worker::join(world, "two").await);
        let mut taken = Vec::new();
        while taken.len() < 20 {
            let (left, right) = tokio::join!(a.lease(3), b.lease(3));
            taken.extend(left.into_iter().chain(right).map(|lease| lease.job));
        }
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 20);
    }

    async fn a_worker_that_was_thought_dead_changes_nothing(world: &World) {
        let shop = Shop::open(world).await;
        let (slow, quick) = (Worker::join(world, "one").await, Worker::join(world, "two").await);
        let job = shop.queue(1).await[0];
        let lost = slow.lease(1).await.remove(0);
        assert_eq!(slow.report(&lost, Outcome::Running).await, Verdict::Kept);
        world.advance(Duration::from_mins(1));
        let ask = || async {
            world.advance(Duration::from_millis(500));
            quick.lease(1).await
        };
        let taken = eventually("the lease runs out", ask, |leases| !leases.is_empty()).await.remove(0);
        assert!(taken.token > lost.token && taken.attempt == 2);
        let before = shop.seen(job).await;
        for outcome in [
            Outcome::Running,
            Outcome::Succeeded,
            Outcome::Again,
            Outcome::Refused,
            Outcome::Lost,
            Outcome::Cancelled,
        ] {
            assert_eq!(slow.report(&lost, outcome).await, Verdict::Lost);
        }
        let own_node_old_token = Lease { token: lost.token, ..taken.clone() };
        assert_eq!(quick.report(&own_node_old_token, Outcome::Succeeded).await, Verdict::Lost);
        assert_eq!(shop.seen(job).await, before, "nothing has changed");
        assert_eq!(quick.report(&taken, Outcome::Succeeded).await, Verdict::Kept);
        assert_eq!(shop.state(job).await, JobState::Succeeded);
        assert_eq!(quick.report(&taken, Outcome::Succeeded).await, Verdict::Lost, "it ends once");
    }

    async fn what_is_due_is_found_by_everybody_who_asks_at_once(world: &World) {
        let shop = Shop::open(world).await;
        shop.asks(vec![NewJob { delay_seconds: Some(60), ..work() }; 2]).await.unwrap();
        let (a, b) = (Worker::join(world, "one").await, Worker::join(world, "two").await);
        let tables = tables(world).await;
        // Somebody is making it ready and gets no further: the lane's counters are taken.
        let mut busy = tables.begin().await.unwrap();
        let lanes = db::query("select id from lane /*for update*/");
        lanes.all(&mut busy, |row| row.get::<i64>("id")).await.unwrap();
        world.advance(Duration::from_mins(2));
        {
            let both = async { tokio::join!(a.lease(1), b.lease(1)) };
            tokio::pin!(both);
            let early = tokio::time::timeout(Duration::from_secs(2), &mut both).await;
            assert!(early.is_err(), "both wait for what is due");
            drop(busy);
            let (one, two) = both.await;
            assert_eq!((one.len(), two.len()), (1, 1), "each has one");
        }
        tables.close().await;
    }

    async fn an_answer_is_no_longer_than_may_be_and_leaves_the_rest_to_the_next(world: &World) {
        let shop = Shop::open(world).await;
        let long = || NewJob { payload: "x".repeat(200 << 10).into(), ..work() };
        for _ in 0..8 {
            shop.asks(vec![long(); 4]).await.unwrap();
        }
        let worker = Worker::join(world, "one").await;
        let mut counts = Vec::new();
        while counts.iter().sum::<usize>() < 32 {
            let leases = worker.lease(1_000).await;
            let bytes: usize = leases.iter().map(|lease| lease.payload.to_string().len()).sum();
            assert!((1..=LEASES_BYTES_MAX).contains(&bytes), "{bytes} bytes");
            counts.push(leases.len());
        }
        assert_eq!(counts, [20, 12], "as many as fit, and then those that are left");
    }

    async fn what_a_killed_node_had_waits_again_at_once(world: &World) {
        let shop = Shop::open(world).await;
        shop.queue(1).await;
        let killed = Worker::join(world, "one").await;
        let lost = killed.lease(1).await.remove(0);
        let other = Worker::join(world, "two").await;
        assert!(other.lease(1).await.is_empty(), "it is another's");
        let anew = Worker::join(world, "one").await;
        assert!(anew.lease(1).await.is_empty(), "it is tried again after a pause");
        world.advance(Duration::from_secs(2));
        let taken = other.lease(1).await.remove(0);
        assert!(taken.token > lost.token);
        assert_eq!(killed.report(&lost, Outcome::Succeeded).await, Verdict::Lost);
        assert_eq!(other.report(&taken, Outcome::Succeeded).await, Verdict::Kept);
    }

    async fn attempts_that_were_lost_are_counted_apart(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let first = shop.queue(1).await[0];
        for _ in 0..5 {
            worker.lose(world).await;
        }
        world.advance(Duration::from_mins(20));
        let lease = worker.lease(1).await.remove(0);
        assert_eq!((lease.attempt, shop.seen(first).await.lost), (6, 5));
        worker.report(&lease, Outcome::Succeeded).await;
        assert_eq!(shop.state(first).await, JobState::Succeeded);
        let second = shop.queue(1).await[0];
        for _ in 0..10 {
            assert_ne!(shop.state(second).await, JobState::Failed);
            worker.lose(world).await;
        }
        let seen = shop.seen(second).await;
        assert_eq!((seen.state, seen.lost), (JobState::Failed, 10));
        assert!(seen.problem.unwrap().contains("lost with its machine 10 times"));
    }

    async fn what_a_job_says_is_shown_and_renews_its_lease(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let job = shop.queue_one(NewJob { payload: serde_json::json!({"to": [1, 2]}), ..work() }).await;
        let lease = worker.lease(1).await.remove(0);
        assert_eq!((lease.payload.to_string(), lease.command.as_slice()), (
            r#"{"to":[1,2]}"#.to_owned(),
            ["./work".to_owned()].as_slice(),
        ));
        for _ in 0..4 {
            world.advance(Duration::from_secs(10));
            let progress = Some(Progress { percent: Some(40), note: Some("half\0".into()) });
            let told = Report { progress, ..report(&lease, Outcome::Running) };
            assert_eq!(worker.tell(vec![told]).await, [Verdict::Kept]);
        }
        let seen = shop.seen(job).await;
        assert_eq!(seen.progress.unwrap(), Progress { percent: Some(40), note: Some("half".into()) });
        assert_eq!((seen.state, seen.output.as_str()), (JobState::Running, "printedthis"));
        let result = Some(serde_json::json!({"sent": 2}));
        worker.tell(vec![Report { result: result.clone(), ..report(&lease, Outcome::Succeeded) }]).await;
        let seen = shop.seen(job).await;
        assert_eq!((seen.state, seen.result), (JobState::Succeeded, result));
    }

    async fn a_result_that_is_too_long_is_a_failure(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let job = shop.queue(1).await[0];
        let lease = worker.lease(1).await.remove(0);
        let result = Some("x".repeat(64 << 10).into());
        worker.tell(vec![Report { result, ..report(&lease, Outcome::Succeeded) }]).await;
        let seen = shop.seen(job).await;
        assert_eq!((seen.state, seen.result), (JobState::Failed, None));
        assert!(seen.problem.unwrap().contains("result is longer than 65536 bytes"));
    }

    async fn attempts_are_made_as_often_as_may_be_and_say_why_they_failed(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let job = shop.queue_one(NewJob { attempts: Some(2), ..work() }).await;
        let refused = shop.queue_one(work()).await;
        for lease in worker.lease(2).await {
            let outcome = if lease.job == job { Outcome::Again } else { Outcome::Refused };
            let problem = Some("the command ended with status 65".to_owned());
            worker.tell(vec![Report { problem, ..report(&lease, outcome) }]).await;
        }
        let seen = shop.seen(refused).await;
        assert_eq!((seen.state, seen.attempts), (JobState::Failed, 1), "no attempt would succeed");
        assert_eq!(seen.problem.unwrap(), "the command ended with status 65");
        let seen = shop.seen(job).await;
        assert_eq!(seen.state, JobState::Delayed);
        assert!(seen.not_before >= now(world).plus(Duration::from_secs(1)));
        assert!(seen.waits_for.unwrap().starts_with("its next attempt, at 2026-12-01T00:00:01"));
        assert!(worker.lease(1).await.is_empty());
        world.advance(Duration::from_secs(2));
        let lease = worker.lease(1).await.remove(0);
        worker.report(&lease, Outcome::Again).await;
        let seen = shop.seen(job).await;
        assert_eq!(seen.state, JobState::Failed);
        assert!(seen.problem.unwrap().contains("tried 2 times"));
    }

    async fn the_time_of_the_attempt_that_succeeds_is_billed_once(world: &World) {
        let ada = world.sign_up("ada").await;
        release(world, "forum", "release", 1, &[("work", definition())]).await;
        let shop = billed_to(world, &ada).await;
        let worker = Worker::join(world, "one").await;
        shop.queue(1).await;
        let taken = worker.lease(1).await.remove(0);
        world.advance(Duration::from_millis(1_500));
        worker.report(&taken, Outcome::Again).await;
        world.advance(Duration::from_secs(5));
        let taken = worker.lease(1).await.remove(0);
        world.advance(Duration::from_millis(250));
        worker.report(&taken, Outcome::Succeeded).await;
        let usage = || usage(&ada);
        let first = eventually("billing is told", usage, |usage| !usage.is_empty()).await;
        assert!(first.iter().all(|event| event.meter == JOB_MILLISECONDS));
        assert_eq!(first.iter().map(|event| event.quantity).collect::<Vec<_>>(), [250]);
        // Those of one report are one event, which says so.
        shop.queue(3).await;
        let leases = worker.lease(3).await;
        world.advance(Duration::from_millis(100));
        worker.tell(leases.iter().map(|lease| report(lease, Outcome::Succeeded)).collect()).await;
        let usage = eventually("billing is told", usage, |usage| usage.len() == 2).await;
        let last = usage.iter().find(|event| event.quantity != 250).unwrap();
        assert_eq!((last.quantity, last.note.as_str()), (300, "work (3 jobs)"));
    }

    async fn what_a_database_made_anew_counts_is_no_repetition(world: &World) {
        let ada = world.sign_up("ada").await;
        // What a database told that was lost since, under the numbers that are next here.
        let event = UsageEvent {
            event: "job_lost".into(),
            at: now(world),
            account: ada.account,
            instance: InstanceId::named(&["forum"]),
            meter: JOB_MILLISECONDS.into(),
            quantity: 7,
            note: "migrate".into(),
        };
        let (source, events) = ("jobs".to_owned(), vec![event]);
        let told = RecordUsage { source, epoch: 1, first_sequence: 1, events };
        world.component("jobs").call(told).await.unwrap();
        release(world, "forum", "release", 1, &[("work", definition())]).await;
        let shop = billed_to(world, &ada).await;
        let worker = Worker::join(world, "one").await;
        shop.queue(1).await;
        let taken = worker.lease_of(&[digest("release")], 1).await.remove(0);
        world.advance(Duration::from_millis(1_500));
        worker.report(&taken, Outcome::Succeeded).await;
        let usage = || usage(&ada);
        let usage = eventually("billing is told", usage, |usage| usage.len() == 2).await;
        assert_eq!(usage.iter().map(|event| event.quantity).sum::<u64>(), 1_507);
    }
    async fn what_a_database_that_was_put_back_counts_is_no_repetition(world: &World) {
        let ada = world.sign_up("ada").await;
        release(world, "forum", "release", 1, &[("work", definition())]).await;
        let shop = billed_to(world, &ada).await;
        let worker = Worker::join(world, "one").await;
        let does_one = async || {
            shop.queue(1).await;
            let taken = worker.lease(1).await.remove(0);
            world.advance(Duration::from_millis(1_500));
            worker.report(&taken, Outcome::Succeeded).await;
        };
        does_one().await;
        let told = eventually("billing is told", || usage(&ada), |usage| usage.len() == 1).await;
        // In the backup it had not been told yet, and is not told again before that is said.
        let mut busy = world.billing.begin().await.unwrap();
        let sources = db::query("select source from usage_source /*for update*/");
        sources.all(&mut busy, |row| row.get::<String>("source")).await.unwrap();
        let backup = tables(world).await;
        let insert = db::query("insert into usage (sequence, event) values (1, ?)");
        insert.bind_json(&told[0]).run(&backup).await.unwrap();
        db::query("update usage_head set sequence = 1").run(&backup).await.unwrap();
        backup.close().await;
        let begun = shop.operator.call(BeginUsage {}).await.unwrap();
        assert_eq!(begun.dropped, 1);
        drop(busy);
        does_one().await;
        let usage = eventually("billing is told", || usage(&ada), |usage| usage.len() > 1).await;
        assert_eq!(usage.iter().map(|event| event.quantity).collect::<Vec<_>>(), [1_500, 1_500]);
    }
}
