//! What recurs: each tick once, whatever the clock and the platform do.

use std::time::Duration;

use api::{
    jobs::{
        Gate, InstanceState, Job, JobDefinition, JobState, ListInstanceJobs, Schedule, SetQueue,
    },
    manifest::Missed,
};
use types::Timestamp;

use super::{Shop, Worker, change, definition, digest, now, release, tables};
use crate::world::{World, until};

pub(super) const HOUR: Duration = Duration::from_hours(1);

pub(super) fn hourly(missed: Missed, spread_seconds: u32) -> JobDefinition {
    let (cron, time_zone) = ("0 * * * *".parse().unwrap(), "Europe/Berlin".parse().unwrap());
    let schedule = Some(Schedule { cron, time_zone, missed, spread_seconds });
    JobDefinition { schedule, ..definition() }
}

impl Shop {
    /// What was queued by itself, the oldest first.
    pub(super) async fn recurred(&self, name: &str) -> Vec<Job> {
        let (account, instance) = (self.account, self.instance);
        let list = ListInstanceJobs {
            account,
            instance,
            state: None,
            name: Some(name.to_owned()),
            after: None,
            limit: Some(500),
        };
        let mut jobs = self.operator.call(list).await.unwrap().items;
        jobs.reverse();
        jobs
    }

    /// Waits until so many were queued, and sees that there are no more.
    async fn recurs(&self, name: &str, count: usize) -> Vec<Job> {
        until(&format!("{count} of {name}"), async || self.recurred(name).await.len() >= count)
            .await;
        let jobs = self.recurred(name).await;
        assert_eq!(jobs.len(), count, "{name}");
        jobs
    }
}

/// Lets the clock show a full hour and a second.
pub(super) fn to_next_hour(world: &World) -> Timestamp {
    let micros = now(world).micros();
    let hour = 3_600_000_000;
    let next = (micros / hour + 1) * hour;
    world.advance(Duration::from_micros((next - micros).unsigned_abs()) + SECOND);
    Timestamp::from_micros(next)
}

const SECOND: Duration = Duration::from_secs(1);

stories! {
    async fn a_job_recurs_for_every_instance_and_each_tick_is_one_job(world: &World) {
        release(world, "forum", "release", 1, &[("digest", hourly(Missed::Once, 0))]).await;
        let one = Shop::of(world, "forum", "one").await;
        let two = Shop::of(world, "forum", "two").await;
        assert!(one.recurred("digest").await.is_empty());
        let tick = to_next_hour(world);
        let first = one.recurs("digest", 1).await.remove(0);
        assert_eq!(one.seen(first.job).await.payload, serde_json::json!({ "tick": tick }));
        two.recurs("digest", 1).await;
        to_next_hour(world);
        let jobs = one.recurs("digest", 2).await;
        assert!(jobs[0].job < jobs[1].job, "they are listed as they came");
        let worker = Worker::join(world, "one").await;
        assert_eq!(worker.do_all(&[digest("release")]).await.len(), 4);

        // What is said again changes nothing, and a release without the schedule ends it.
        one.is(world, InstanceState::Open).await;
        release(world, "forum", "release", 2, &[("digest", hourly(Missed::Once, 0))]).await;
        to_next_hour(world);
        one.recurs("digest", 3).await;
        two.recurs("digest", 3).await;
        release(world, "forum", "other", 3, &[("digest", definition()), ("late", hourly(Missed::Once, 0))]).await;
        one.is(world, InstanceState::Open).await;
        // All of an hour is queued before anything of the next.
        for count in 1..=2 {
            to_next_hour(world);
            one.recurs("late", count).await;
            // What is not moved to it goes on as it did.
            two.recurs("digest", 3 + count).await;
        }
        one.recurs("digest", 3).await;
        assert!(two.recurred("late").await.is_empty());
    }

    async fn what_was_queued_before_a_backup_was_put_back_is_not_queued_again(world: &World) {
        release(world, "forum", "release", 1, &[("digest", hourly(Missed::All, 0))]).await;
        let shop = Shop::of(world, "forum", "one").await;
        to_next_hour(world);
        shop.recurs("digest", 1).await;
        let tables = tables(world).await;
        let back = "update schedule set last = last - 3600000000, due = due - 3600000000";
        assert_eq!(db::query(back).run(&tables).await.unwrap(), 1);
        tables.close().await;
        to_next_hour(world);
        shop.recurs("digest", 2).await;
    }

    async fn what_a_closed_instance_misses_follows_its_policy_when_it_opens(world: &World) {
        let jobs = [
            ("skips", hourly(Missed::Skip, 0)),
            ("once", hourly(Missed::Once, 0)),
            ("all", hourly(Missed::All, 0)),
            ("marks", hourly(Missed::Once, 0)),
        ];
        release(world, "forum", "release", 1, &jobs).await;
        let first = Shop::of(world, "forum", "one").await;
        let second = Shop::of(world, "forum", "two").await;
        first.is(world, InstanceState::Closed).await;
        for count in 1..=3 {
            to_next_hour(world);
            second.recurs("marks", count).await;
        }
        assert!(first.recurred("all").await.is_empty(), "nothing is queued while it is closed");
        world.advance(Duration::from_mins(10));
        first.is(world, InstanceState::Open).await;
        let all = first.recurs("all", 3).await;
        let once = first.recurs("once", 1).await;
        let last = first.seen(all[2].job).await.payload;
        assert_eq!(first.seen(once[0].job).await.payload, last, "it is the last one that is made up for");
        assert!(first.recurred("skips").await.is_empty());
        // It goes on with the next one, and an instance that has ended with none.
        second.is(world, InstanceState::Ended).await;
        to_next_hour(world);
        first.recurs("skips", 1).await;
        first.recurs("all", 4).await;
        assert_eq!(second.recurred("all").await.len(), 3);
        let tables = tables(world).await;
        let of_second = db::query("select name from schedule where instance = ?");
        let of_second = of_second.bind(second.instance);
        let left = of_second.all(&tables, |row| row.get::<String>("name")).await.unwrap();
        tables.close().await;
        assert!(left.is_empty(), "{left:?}");
    }

    async fn whoever_changes_an_instance_does_not_wait_for_what_queues_its_ticks(world: &World) {
        release(world, "forum", "release", 1, &[("digest", hourly(Missed::Once, 0))]).await;
        let shop = Shop::of(world, "forum", "one").await;
        let tables = tables(world).await;
        let mut change = tables.begin().await.unwrap();
        let lock = db::query("select id from instance where id = ? /*for update*/");
        lock.bind(shop.instance).all(&mut change, |_| Ok(())).await.unwrap();
        to_next_hour(world);
        if world.engine.kind() == db::EngineKind::Postgres {
            let waits = "select count(*) as waiting from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'";
            until("the tick waits", async || {
                let waiting = db::query(waits).one(&tables, |row| row.get::<u64>("waiting"));
                waiting.await.unwrap() > 0
            })
            .await;
            // It has looked by then whether anybody waits for it, so the one who does is refused.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        let recurs = db::query("update schedule set plan = plan where instance = ?");
        assert_eq!(recurs.bind(shop.instance).run(&mut change).await.unwrap(), 1);
        change.commit().await.unwrap();
        tables.close().await;
        shop.recurs("digest", 1).await;
    }

    async fn a_clock_that_is_set_back_brings_no_tick_twice(world: &World) {
        release(world, "forum", "release", 1, &[("digest", hourly(Missed::All, 0))]).await;
        let shop = Shop::of(world, "forum", "one").await;
        let other = Shop::of(world, "forum", "two").await;
        to_next_hour(world);
        to_next_hour(world);
        shop.recurs("digest", 2).await;
        let back = Timestamp::from_micros(now(world).micros() - 5_400_000_000);
        world.clock.set(back);
        // Also where it is said anew what recurs.
        let changed = JobDefinition { schedule: hourly(Missed::Once, 0).schedule, ..definition() };
        release(world, "forum", "other", 2, &[("digest", changed)]).await;
        shop.is(world, InstanceState::Open).await;
        other.is(world, InstanceState::Open).await;
        to_next_hour(world);
        to_next_hour(world);
        to_next_hour(world);
        // The hours that there were are not there again.
        let jobs = other.recurs("digest", 3).await;
        assert_eq!(shop.recurs("digest", 3).await.len(), jobs.len());
    }

    async fn instances_begin_at_their_own_moment_of_the_spread(world: &World) {
        release(world, "forum", "release", 1, &[("digest", hourly(Missed::Once, 1_800))]).await;
        let mut shops = Vec::new();
        for number in 0..12 {
            shops.push(Shop::of(world, "forum", &number.to_string()).await);
        }
        to_next_hour(world);
        let begun = async || {
            let mut begun = 0;
            for shop in &shops {
                begun += shop.recurred("digest").await.len();
            }
            begun
        };
        let mut seen = vec![begun().await];
        for _ in 0..6 {
            world.advance(Duration::from_mins(5));
            let worker = Shop::of(world, "forum", "wakes").await;
            drop(worker);
            seen.push(begun().await);
        }
        until("all have begun", async || begun().await == 12).await;
        assert!(seen[1] < 12, "not all at once: {seen:?}");
        world.advance((HOUR / 2).saturating_sub(SECOND * 2));
        assert_eq!(begun().await, 12, "and each once");
    }

    async fn a_gate_holds_or_refuses_ticks_as_it_does_other_jobs(world: &World) {
        release(world, "forum", "release", 1, &[("digest", hourly(Missed::Once, 0))]).await;
        release(world, "store", "other", 1, &[("digest", hourly(Missed::Once, 0))]).await;
        let shop = Shop::of(world, "forum", "one").await;
        let other = Shop::of(world, "store", "two").await;
        let set = async |gate| {
            shop.operator.call(SetQueue { gate: Some(gate), ..change("forum") }).await.unwrap();
        };
        set(Gate::Hold).await;
        to_next_hour(world);
        assert_eq!(shop.recurs("digest", 1).await[0].state, JobState::Held);
        // Or it would be made up for together with the next one.
        other.recurs("digest", 1).await;
        set(Gate::Refuse).await;
        for count in 2..=3 {
            to_next_hour(world);
            other.recurs("digest", count).await;
        }
        shop.recurs("digest", 1).await;
        set(Gate::Open).await;
        world.advance(Duration::from_mins(5));
        shop.recurs("digest", 2).await;
    }
}
