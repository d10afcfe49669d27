//! An instance comes to a release that needs another shape of its database.

use std::{collections::BTreeSet, time::Duration};

use api::{
    configurator::{GetEnvironment, GetInstance},
    jobs::{CancelJob, JobState, ListInstanceJobs, QuietInstance, ReplayJob},
    provider::SuspendInstance,
    releases::{ListMoves, MoveState, RolloutPlan, RolloutState, Steer, SteerRollout},
};
use db::testing::Obstacle;
use types::Digest;

use crate::{
    machine::{LOST, Machine, NAME, Ran, Shop, promote, promote_as, publish, rollout, stage},
    world::{SNAPSHOT_MAX, until},
};

const SECOND: &str = "schema = 2";
const WORK: &str = "health = \"/healthz\"\n\n[jobs.work]\ncommand = [\"./work\"]\n";

stories! {
    async fn an_instance_moves_with_a_copy_of_its_database_while_nobody_uses_it(world: &World) {
        let first = publish(world, "dedicated", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        until("it runs", async || machine.told(|told| told.runs.last() == Some(&[first.clone()].into()))).await;
        let before = machine.ran("migrate").remove(0).database;
        machine.told(|told| {
            told.lasts = ["migrate".to_owned()].into();
            told.runs.clear();
        });
        let second = publish(world, "dedicated", SECOND, "check = [\"./check\"]").await;
        until("it migrates", async || machine.ran("migrate").len() == 2).await;
        // What runs has ended before, new requests wait, and the copy alone is touched.
        let ran = machine.ran("migrate").remove(1);
        assert_eq!(ran.release, second);
        assert_ne!(ran.database, before);
        assert!(machine.told(|told| told.runs.last().unwrap().is_empty()));
        let route = shop.route(world).await;
        assert_eq!((&route.release, route.schema), (&first, 1));
        let moving = route.moving.unwrap();
        assert!(moving.held && moving.runs.is_empty());
        assert!(shop.seen().await.last_move.unwrap().ended.is_none());
        assert!(machine.ran("check").is_empty());
        machine.told(|told| told.lasts.clear());
        let last = shop.last_move().await;
        assert_eq!((&last.from, &last.to, last.problem), (&first, &second, None));
        assert_eq!(machine.ran("check"), [Ran { name: "check".into(), ..ran.clone() }]);
        let route = shop.route(world).await;
        assert_eq!((&route.release, route.schema, route.moving), (&second, 2, None));
        rollout(world, RolloutState::Done).await;
        // The two never ran at once.
        let runs = machine.told(|told| told.runs.clone());
        assert!(runs.iter().all(|runs| runs.len() < 2), "{runs:?}");
        assert_eq!(runs.last().unwrap(), &[second.clone()].into());
        // Once more: a copy of the copy.
        let third = publish(world, "dedicated", "schema = 3", "").await;
        rollout(world, RolloutState::Done).await;
        let ran = machine.ran("migrate").remove(2);
        assert_eq!(ran.release, third);
        assert!(![before, machine.ran("migrate")[1].database.clone()].contains(&ran.database));
    }

    async fn what_fails_leads_back_and_is_tried_again_when_it_is_resumed(world: &World) {
        let first = publish(world, "dedicated", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let before = machine.ran("migrate").remove(0).database;
        for (name, more) in [("migrate", ""), ("check", "check = [\"./check\"]")] {
            machine.told(|told| {
                told.fails = [(name.to_owned(), "the moon is full")].into();
                told.runs.clear();
            });
            let next = publish(world, "dedicated", SECOND, more).await;
            let paused = rollout(world, RolloutState::Paused).await;
            let list = ListMoves {
                service: NAME.parse().unwrap(),
                number: Some(paused.number),
                after: None,
                limit: None,
            };
            let operator = world.operator().await;
            let moves = operator.call(list).await.unwrap().items;
            let why = format!("`{name}` failed: the moon is full");
            assert_eq!((moves[0].state, moves[0].problem.as_ref()), (MoveState::Failed, Some(&why)));
            let ended = shop.last_move().await;
            assert_eq!((&ended.to, ended.problem), (&next, Some(why)));
            // It is served as before.
            let route = shop.route(world).await;
            assert_eq!((&route.release, route.schema, route.moving), (&first, 1, None));
            until("it runs again", async || {
                machine.told(|told| told.runs.last() == Some(&[first.clone()].into()))
            })
            .await;
            let get = GetInstance { account: shop.account(), instance: shop.instance };
            assert_eq!(shop.ada.client.call(get).await.unwrap().release, first);
            if name == "migrate" {
                promote(world, &first).await;
                rollout(world, RolloutState::Done).await;
                continue;
            }
            machine.told(|told| told.fails.clear());
            world.advance(Duration::from_secs(1));
            let (service, number) = (paused.service, paused.number);
            let resume = SteerRollout { service, number, steer: Steer::Resume };
            operator.call(resume).await.unwrap();
            rollout(world, RolloutState::Done).await;
            assert_eq!(shop.seen().await.release, next);
            assert_eq!(shop.last_move().await.problem, None);
        }
        // Each attempt has a copy of its own.
        let databases: BTreeSet<String> =
            machine.ran("migrate").into_iter().map(|ran| ran.database).collect();
        assert_eq!(databases.len(), 4);
        assert!(databases.contains(&before));
    }

    async fn what_the_code_before_can_read_is_migrated_while_it_goes_on(world: &World) {
        let first = publish(world, "dedicated", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let before = machine.ran("migrate").remove(0).database;
        machine.told(|told| told.lasts = ["migrate".to_owned()].into());
        let compatible = format!("{SECOND}\ncompatible = true");
        let second = publish(world, "dedicated", &compatible, "").await;
        until("it migrates", async || machine.ran("migrate").len() == 2).await;
        assert_eq!(machine.ran("migrate")[1], Ran { name: "migrate".into(), release: second.clone(), database: before });
        assert!(!shop.route(world).await.moving.unwrap().held);
        assert_eq!(machine.told(|told| told.runs.last().cloned().unwrap()), [first.clone()].into());
        machine.told(|told| {
            told.lasts.clear();
            told.runs.clear();
        });
        let last = shop.last_move().await;
        assert_eq!((last.held_millis, last.closed_millis, last.problem), (0, 0, None));
        assert_eq!(shop.seen().await.release, second);
        let both: BTreeSet<Digest> = [first.clone(), second.clone()].into();
        assert!(machine.told(|told| told.runs.contains(&both)), "both can read it");
        rollout(world, RolloutState::Done).await;
        // So the way back needs no other database.
        promote(world, &first).await;
        rollout(world, RolloutState::Done).await;
        assert_eq!((shop.seen().await.release, shop.route(world).await.schema), (first, 2));
        assert_eq!(machine.ran("migrate").len(), 2);
    }

    async fn a_release_that_cannot_read_the_database_is_refused_its_instance(world: &World) {
        let first = publish(world, "shared", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let second = publish(world, "shared", SECOND, "").await;
        rollout(world, RolloutState::Done).await;
        assert_eq!(machine.ran("migrate").len(), 2);
        assert_eq!(shop.seen().await.release, second);
        let number = promote(world, &first).await.number;
        let operator = world.operator().await;
        rollout(world, RolloutState::Paused).await;
        let list =
            ListMoves { service: NAME.parse().unwrap(), number: Some(number), after: None, limit: None };
        let why = operator.call(list).await.unwrap().items.remove(0).problem.unwrap();
        assert!(why.contains("shape 2") && why.contains(first.short()), "{why}");
        assert_eq!(shop.seen().await.release, second);
    }

    async fn a_rollback_turns_back_what_is_on_its_way(world: &World) {
        let first = publish(world, "dedicated", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        machine.told(|told| told.lasts = ["migrate".to_owned()].into());
        let second = publish(world, "dedicated", SECOND, "").await;
        until("it migrates", async || machine.ran("migrate").len() == 2).await;
        promote(world, &first).await;
        let ended = shop.last_move().await;
        assert_eq!(ended.problem.as_deref(), Some("another release was promoted meanwhile"));
        machine.told(|told| told.lasts.clear());
        rollout(world, RolloutState::Done).await;
        assert_eq!((shop.seen().await.release, ended.to), (first.clone(), second));
        until("it runs again", async || {
            machine.told(|told| told.runs.last() == Some(&[first.clone()].into()))
        })
        .await;
        // A job of the way that was given up changes nothing, and is not run again by itself.
        let list = ListInstanceJobs {
            account: shop.account(),
            instance: shop.instance,
            state: None,
            name: Some("migrate".to_owned()),
            after: None,
            limit: Some(1),
        };
        let job = shop.ada.client.call(list).await.unwrap().items.remove(0).job;
        let (account, instance) = (shop.account(), shop.instance);
        let again = ReplayJob { account, instance, job };
        assert_eq!(shop.ada.client.call(again).await.unwrap_err().code, "setup_job");
        let cancel = CancelJob { account, instance, job };
        assert_eq!(shop.ada.client.call(cancel).await.unwrap_err().code, "setup_job");
    }

    async fn what_is_suspended_moves_too_and_no_other_release_is_given_its_database(world: &World) {
        let first = publish(world, "dedicated", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let (account, instance) = (shop.account(), shop.instance);
        let suspend = |reason: Option<&str>| SuspendInstance {
            account,
            instance,
            reason: reason.map(str::to_owned),
        };
        let operator = world.operator().await;
        operator.call(suspend(Some("unpaid"))).await.unwrap();
        let second = publish(world, "dedicated", SECOND, "").await;
        assert_eq!(shop.last_move().await.problem, None);
        operator.call(suspend(None)).await.unwrap();
        until("it runs", async || {
            machine.told(|told| told.runs.last() == Some(&[second.clone()].into()))
        })
        .await;
        let get = GetEnvironment { node: machine.node, instance, release: Some(first) };
        assert_eq!(machine.client.call(get).await.unwrap_err().code, "other_shape");
    }

    async fn a_schema_number_that_falls_is_refused(world: &World) {
        let third = publish(world, "shared", "schema = 3", "").await;
        let second = stage(world, "shared", SECOND, "").await;
        let problem = second.problem.unwrap();
        assert!(problem.contains("`database.schema` is 2") && problem.contains("is 3"), "{problem}");
        // The same number is another release of the same shape; and what is current stays so.
        publish(world, "shared", "schema = 3", "health = \"/healthz\"").await;
        let again = stage(world, "shared", "schema = 3", "").await;
        assert_eq!((again.digest, again.problem), (third, None));
    }

    async fn jobs_end_before_and_go_on_after_it(world: &World) {
        let first = publish(world, "shared", "", WORK).await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        machine.told(|told| told.lasts = ["work".to_owned()].into());
        shop.queue("work").await.unwrap();
        until("it works", async || machine.ran("work").len() == 1).await;
        let second = publish(world, "shared", SECOND, WORK).await;
        until("it is on its way", async || shop.route(world).await.moving.is_some()).await;
        let quiet = QuietInstance { instance: shop.instance, stop: false };
        let configurator = world.component("configurator");
        until("no more is begun", async || configurator.call(quiet.clone()).await.is_ok()).await;
        // A second one waits; the first one is waited for, and then stopped.
        shop.queue("work").await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((machine.ran("work").len(), machine.ran("migrate").len()), (1, 1));
        world.advance(Duration::from_secs(31));
        let last = shop.last_move().await;
        assert_eq!(last.problem, None);
        machine.told(|told| told.lasts.clear());
        world.advance(Duration::from_secs(10));
        until("both are done", async || {
            shop.jobs("work").await == [JobState::Succeeded, JobState::Succeeded]
        })
        .await;
        let releases: Vec<Digest> =
            machine.ran("work").into_iter().map(|ran| ran.release).collect();
        assert_eq!(releases, [first, second.clone(), second]);
    }

    async fn a_migration_whose_machine_was_lost_begins_again_with_a_new_copy(world: &World) {
        let first = publish(world, "dedicated", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        machine.told(|told| told.fails = [("check".to_owned(), LOST)].into());
        let second = publish(world, "dedicated", SECOND, "check = [\"./check\"]").await;
        until("it was lost once", async || machine.ran("check").len() == 2).await;
        machine.told(|told| told.fails.clear());
        rollout(world, RolloutState::Done).await;
        assert_eq!((shop.seen().await.release, shop.last_move().await.problem), (second.clone(), None));
        let (migrated, checked) = (machine.ran("migrate"), machine.ran("check"));
        let copies: BTreeSet<&String> = migrated.iter().map(|ran| &ran.database).collect();
        assert_eq!(copies.len(), migrated.len(), "what was left is touched by nobody: {migrated:?}");
        assert_eq!(checked.last().unwrap().database, migrated.last().unwrap().database);
        let (name, last) = (shop.instance.to_string(), u32::try_from(migrated.len()).unwrap() - 1);
        until("it has gone", async || world.engine.size(&name, 1).await.is_err()).await;
        assert!(world.engine.size(&name, last).await.is_ok());
        // Not for ever.
        let before = machine.ran("migrate").len();
        machine.told(|told| told.fails = [("migrate".to_owned(), LOST)].into());
        publish(world, "dedicated", "schema = 3", "").await;
        rollout(world, RolloutState::Paused).await;
        let why = shop.last_move().await.problem.unwrap();
        assert!(why.contains(LOST), "{why}");
        assert_eq!(machine.ran("migrate").len(), before + 4);
        assert_eq!(shop.seen().await.release, second);
        assert_ne!(first, second);
    }

    async fn those_whose_jobs_run_for_long_hold_up_no_other(world: &World) {
        publish(world, "shared", "", WORK).await;
        let machine = Machine::join(world).await;
        machine.told(|told| told.lasts = ["work".to_owned()].into());
        let mut busy = Vec::new();
        for name in ["ada", "ben", "cleo", "dora"] {
            let shop = Shop::of(world, name).await;
            shop.queue("work").await.unwrap();
            busy.push(shop);
        }
        // Those that are older are first.
        world.advance(Duration::from_secs(1));
        let free = Shop::of(world, "emil").await;
        until("all four work", async || machine.ran("work").len() == 4).await;
        let second = stage(world, "shared", SECOND, WORK).await.digest;
        let at_once = RolloutPlan { at_once: None, ..RolloutPlan::default() };
        promote_as(world, &second, at_once).await.unwrap();
        until("it has moved", async || free.seen().await.release == second).await;
        for shop in &busy {
            assert_ne!(shop.seen().await.release, second);
        }
        machine.told(|told| told.lasts.clear());
        rollout(world, RolloutState::Done).await;
    }

    async fn a_copy_that_cannot_be_made_now_is_tried_again_for_a_while(world: &World) {
        publish(world, "dedicated", "", "").await;
        let _machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let name = shop.instance.to_string();
        let obstacle = Obstacle::put(&world.engine, &name, 1).await.unwrap();
        let second = publish(world, "dedicated", SECOND, "").await;
        let is_held = async || shop.route(world).await.moving.is_some_and(|moving| moving.held);
        until("it is closed", is_held).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_held().await, "it is tried again");
        obstacle.remove().await.unwrap();
        rollout(world, RolloutState::Done).await;
        assert_eq!((shop.seen().await.release, shop.last_move().await.problem), (second.clone(), None));
        // What does not pass is given up.
        let obstacle = Obstacle::put(&world.engine, &name, 2).await.unwrap();
        publish(world, "dedicated", "schema = 3", "").await;
        until("it is closed", is_held).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.advance(Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.advance(Duration::from_secs(11));
        rollout(world, RolloutState::Paused).await;
        let why = shop.last_move().await.problem.unwrap();
        assert!(why.contains("could not be copied"), "{why}");
        assert_eq!(shop.seen().await.release, second);
        assert!(shop.route(world).await.moving.is_none(), "nobody waits until the obstacle has gone");
        obstacle.remove().await.unwrap();
        world.advance(Duration::from_hours(1));
    }

    async fn what_is_too_large_to_be_copied_stays_or_is_migrated_itself(world: &World) {
        let first = publish(world, "dedicated", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let (before, name) = (machine.ran("migrate").remove(0).database, shop.instance.to_string());
        let mib = u32::try_from(SNAPSHOT_MAX >> 20).unwrap() + 1;
        db::testing::fill(&world.engine, &name, mib).await.unwrap();
        let second = publish(world, "dedicated", SECOND, "check = [\"./check\"]").await;
        rollout(world, RolloutState::Paused).await;
        let why = shop.last_move().await.problem.unwrap();
        assert!(why.contains("`--without-snapshot` migrates it all the same"), "{why}");
        assert_eq!((shop.seen().await.release, machine.ran("migrate").len()), (first.clone(), 1));
        promote(world, &first).await;
        rollout(world, RolloutState::Done).await;
        world.advance(Duration::from_secs(1));
        // It fails, and nothing leads back: nobody is let in.
        machine.told(|told| told.fails = [("check".to_owned(), "the moon is full")].into());
        let without = RolloutPlan { without_snapshot: true, ..RolloutPlan::default() };
        let paused = promote_as(world, &second, without.clone()).await.unwrap();
        rollout(world, RolloutState::Paused).await;
        let why = shop.last_move().await.problem.unwrap();
        assert!(why.contains("the moon is full. Its database has no copy"), "{why}");
        let migrated = machine.ran("migrate").remove(1);
        assert_eq!((migrated.release, migrated.database), (second.clone(), before));
        let route = shop.route(world).await;
        assert!(route.maintenance.is_some() && route.moving.is_none(), "{route:?}");
        world.advance(Duration::from_hours(25));
        assert!(world.engine.size(&name, 0).await.is_ok(), "it is kept");
        // Tried again, it is open.
        world.advance(Duration::from_secs(1));
        machine.told(|told| told.fails.clear());
        let (service, number) = (paused.service, paused.number);
        let resume = SteerRollout { service, number, steer: Steer::Resume };
        world.operator().await.call(resume).await.unwrap();
        rollout(world, RolloutState::Done).await;
        let route = shop.route(world).await;
        assert_eq!((route.release, route.schema, route.maintenance), (second, 2, None));
        // What another was moved from goes later, and nothing of this one, which stayed in place.
        world.advance(Duration::from_secs(1));
        let small = Shop::of(world, "ben").await;
        let third = stage(world, "dedicated", "schema = 3", "").await.digest;
        promote_as(world, &third, without).await.unwrap();
        rollout(world, RolloutState::Done).await;
        world.advance(Duration::from_hours(25));
        let small = small.instance.to_string();
        until("it has gone", async || world.engine.size(&small, 0).await.is_err()).await;
        assert!(world.engine.size(&name, 0).await.is_ok(), "nothing was moved from");
    }

    async fn a_database_that_was_moved_from_goes_after_a_day(world: &World) {
        publish(world, "shared", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        publish(world, "shared", SECOND, "").await;
        rollout(world, RolloutState::Done).await;
        let name = shop.instance.to_string();
        assert!(world.engine.size(&name, 0).await.is_ok());
        world.advance(Duration::from_hours(24));
        until("it has gone", async || world.engine.size(&name, 0).await.is_err()).await;
        assert!(world.engine.size(&name, 1).await.is_ok());
        drop(machine);
    }
}
