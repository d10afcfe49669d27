//! What becomes of an instance's jobs when it moves to another release.

mod history;

use std::{collections::BTreeSet, time::Duration};

use api::{
    Problem,
    jobs::{
        DEFAULT_CLASS, EnqueueJobs, Job, JobState, ListInstanceJobs, NewJob, QuietInstance,
        ReplayJob, ReplayJobs, Replayed, SetQueue, Strategy, Workers,
    },
    releases::{ListReleases, Release, RolloutPlan, RolloutState, Steer, SteerRollout},
};
use serde_json::json;
use types::{Digest, JobId};

use crate::{
    machine::{Machine, NAME, Ran, Shop, promote_as, publish, rollout, stage},
    world::{World, until},
};

/// A release whose `work` has this version and accepts these, and that has `other` too.
fn jobs(version: u32, accepts: &str) -> String {
    format!(
        "health = \"/healthz\"\n\n[jobs.work]\ncommand = [\"./work\"]\nversion = {version}\n\
         accepts = \"{accepts}\"\n\n[jobs.other]\ncommand = [\"./other\"]\n"
    )
}

fn plan(strategy: Strategy) -> RolloutPlan {
    let workers = Workers { strategy, ..Workers::default() };
    RolloutPlan { workers, ..RolloutPlan::default() }
}

fn in_an_hour(name: &str) -> NewJob {
    NewJob {
        name: name.to_owned(),
        payload: json!({ "of": name }),
        delay_seconds: Some(3_600),
        ..NewJob::default()
    }
}

/// What an instance has to do, and the machine that does it.
struct Scene {
    first: Digest,
    machine: Machine,
    shop: Shop,
}

impl Scene {
    async fn open(world: &World) -> Self {
        let first = publish(world, "shared", "", &jobs(1, "1-1")).await;
        let machine = Machine::join(world).await;
        Self { first, machine, shop: Shop::open(world).await }
    }

    async fn stage(&self, world: &World, version: u32, accepts: &str) -> Digest {
        stage(world, "shared", "", &jobs(version, accepts)).await.digest
    }

    async fn asks(&self, job: NewJob) -> Result<JobId, Problem> {
        let (account, instance) = (self.shop.account(), self.shop.instance);
        let asked = self.shop.ada.client.call(EnqueueJobs { account, instance, jobs: vec![job] });
        asked.await.map(|queued| queued.jobs[0])
    }

    async fn all(&self) -> Vec<Job> {
        let (account, instance) = (self.shop.account(), self.shop.instance);
        let (state, name, after) = (None, None, None);
        let list = ListInstanceJobs { account, instance, state, name, after, limit: Some(500) };
        self.shop.ada.client.call(list).await.unwrap().items
    }

    async fn job(&self, job: JobId) -> Job {
        self.all().await.into_iter().find(|it| it.job == job).unwrap()
    }

    /// Something runs that lasts until it is let go.
    async fn is_at_work(&self) -> JobId {
        self.machine.told(|told| told.lasts = ["work".to_owned()].into());
        let job = self.shop.queue("work").await.unwrap()[0];
        until("it works", async || self.machine.ran("work").len() == 1).await;
        job
    }

    /// By which releases the jobs of a name were done, in their order.
    fn done_by(&self, name: &str) -> Vec<Digest> {
        self.machine.ran(name).into_iter().map(|Ran { release, .. }| release).collect()
    }

    /// Nothing that waits is begun, or it is again.
    async fn is_paused(&self, world: &World, paused: bool) {
        let of = SetQueue::of(NAME.parse().unwrap(), DEFAULT_CLASS);
        let operator = world.operator().await;
        operator.call(SetQueue { paused: Some(paused), ..of }).await.unwrap();
    }

    async fn is_let_go(&self, job: JobId) {
        self.machine.told(|told| told.lasts.clear());
        until("it is done", async || self.job(job).await.state == JobState::Succeeded).await;
    }

    async fn released(&self, world: &World, digest: &Digest) -> Release {
        let operator = world.operator().await;
        let list = ListReleases { service: NAME.parse().unwrap(), after: None, limit: None };
        let all = operator.call(list).await.unwrap().items;
        all.into_iter().find(|release| release.digest == *digest).unwrap()
    }
}

stories! {
    async fn with_a_restart_what_runs_ends_and_the_rest_goes_on_on_the_new_release(world: &World) {
        let scene = Scene::open(world).await;
        let runs = scene.is_at_work().await;
        let second = scene.stage(world, 2, "1-2").await;
        promote_as(world, &second, plan(Strategy::Restart)).await.unwrap();
        until("it is on its way", async || scene.shop.route(world).await.moving.is_some()).await;
        assert!(!scene.shop.route(world).await.moving.unwrap().held, "no request waits for that");
        // Begun by nobody until the one that runs has ended.
        let quiet = QuietInstance { instance: scene.shop.instance, stop: false };
        let configurator = world.component("configurator");
        until("no more is begun", async || configurator.call(quiet.clone()).await.is_ok()).await;
        let waits = scene.shop.queue("work").await.unwrap()[0];
        let waits_for = scene.seen(world, waits).await.waits_for.unwrap();
        assert!(waits_for.contains("its instance"), "{waits_for}");
        assert_eq!(scene.shop.seen().await.release, scene.first);
        scene.is_let_go(runs).await;
        rollout(world, RolloutState::Done).await;
        until("the other is done", async || scene.job(waits).await.state == JobState::Succeeded).await;
        assert_eq!(scene.done_by("work"), [scene.first.clone(), second.clone()]);
        // One that takes too long is stopped, and done again there.
        let slow = {
            scene.machine.told(|told| told.lasts = ["work".to_owned()].into());
            let job = scene.shop.queue("work").await.unwrap()[0];
            until("it works", async || scene.machine.ran("work").len() == 3).await;
            job
        };
        let third = scene.stage(world, 3, "1-3").await;
        promote_as(world, &third, plan(Strategy::Restart)).await.unwrap();
        until("no more is begun", async || configurator.call(quiet.clone()).await.is_ok()).await;
        world.advance(Duration::from_secs(31));
        rollout(world, RolloutState::Done).await;
        world.advance(Duration::from_secs(10));
        scene.is_let_go(slow).await;
        assert_eq!(scene.done_by("work")[2..], [second, third]);
    }

    async fn with_a_purge_what_has_changed_is_set_aside_and_can_be_put_back(world: &World) {
        let scene = Scene::open(world).await;
        let changed = scene.asks(in_an_hour("work")).await.unwrap();
        let behind = scene.asks(NewJob { after: vec![changed], ..in_an_hour("other") }).await.unwrap();
        let same = scene.asks(in_an_hour("other")).await.unwrap();
        let second = scene.stage(world, 2, "2-2").await;
        promote_as(world, &second, plan(Strategy::Purge)).await.unwrap();
        rollout(world, RolloutState::Done).await;
        let aside = scene.job(changed).await;
        assert_eq!((aside.state, &aside.payload), (JobState::SetAside, &json!({ "of": "work" })));
        let why = aside.problem.unwrap();
        assert!(why.contains(second.short()), "{why}");
        assert!(why.ends_with("it can be put back within 7 days"), "{why}");
        // What waits for it is where it is; what has not changed waits on.
        assert_eq!(scene.job(behind).await.state, JobState::SetAside);
        assert_eq!(scene.job(same).await.state, JobState::Delayed);
        assert!(scene.job(same).await.payload.is_null(), "nobody decides about that one");
        // Put back it is done by the release that knows it, which nodes have until it is.
        let (account, instance) = (scene.shop.account(), scene.shop.instance);
        let again = ReplayJob { account, instance, job: changed };
        scene.shop.ada.client.call(again).await.unwrap();
        world.advance(Duration::from_secs(5));
        until("it is done", async || scene.job(changed).await.state == JobState::Succeeded).await;
        assert_eq!(scene.done_by("work"), std::slice::from_ref(&scene.first));
        until("it is not needed", async || {
            let has = scene.machine.told(|told| told.has.clone());
            has == BTreeSet::from([second.clone()])
        })
        .await;
        // All that are left of a queue at once.
        let service = NAME.parse().unwrap();
        let put_back = ReplayJobs { service, class: "default".into(), name: None, set_aside: true, limit: None };
        let operator = world.operator().await;
        assert_eq!(operator.call(put_back.clone()).await.unwrap(), Replayed { replayed: 1 });
        assert_eq!(operator.call(put_back).await.unwrap(), Replayed { replayed: 0 });
        // What nobody puts back goes.
        let later = scene.asks(NewJob { version: Some(1), ..in_an_hour("work") }).await.unwrap();
        let third = scene.stage(world, 3, "3-3").await;
        promote_as(world, &third, plan(Strategy::Purge)).await.unwrap();
        rollout(world, RolloutState::Done).await;
        assert_eq!(scene.job(later).await.state, JobState::SetAside);
        world.advance(Duration::from_hours(7 * 24));
        let operator = world.operator().await;
        until("it is forgotten", async || {
            operator.call(api::jobs::GetJob { job: later }).await.is_err_and(|it| it.code == "not_found")
        })
        .await;
    }

    async fn with_a_drain_new_jobs_are_kept_until_the_instance_has_moved(world: &World) {
        let scene = Scene::open(world).await;
        let runs = scene.is_at_work().await;
        let far = scene.asks(in_an_hour("work")).await.unwrap();
        let second = scene.stage(world, 2, "1-2").await;
        promote_as(world, &second, plan(Strategy::Drain)).await.unwrap();
        until("its gate is closed", async || {
            let job = scene.shop.queue("other").await.unwrap()[0];
            scene.job(job).await.state == JobState::Held
        })
        .await;
        assert_eq!(scene.shop.seen().await.release, scene.first);
        let is_held = |job: &Job| job.state == JobState::Held;
        let held = scene.all().await.into_iter().find(is_held).unwrap().job;
        let waits_for = scene.seen(world, held).await.waits_for.unwrap();
        assert!(waits_for.contains("another release"), "{waits_for}");
        scene.is_let_go(runs).await;
        rollout(world, RolloutState::Done).await;
        until("what was kept is done", async || scene.job(held).await.state == JobState::Succeeded).await;
        assert_eq!(scene.done_by("other").last(), Some(&second));
        assert_eq!(scene.job(far).await.state, JobState::Delayed, "it is not waited for");
        assert_eq!(scene.done_by("work"), std::slice::from_ref(&scene.first));
    }

    async fn with_a_drain_new_jobs_may_be_refused_and_what_is_not_empty_in_time_stays(world: &World) {
        let scene = Scene::open(world).await;
        scene.is_paused(world, true).await;
        scene.shop.queue("work").await.unwrap();
        let second = scene.stage(world, 2, "1-2").await;
        let workers = Workers { refuses: true, ..plan(Strategy::Drain).workers };
        let refuses = RolloutPlan { workers, ..RolloutPlan::default() };
        promote_as(world, &second, refuses).await.unwrap();
        let problem = async || scene.shop.queue("other").await.err();
        until("they are refused", async || problem().await.is_some()).await;
        let said = problem().await.unwrap();
        assert_eq!((said.code.as_str(), said.retry_after), ("gate_closed", Some(30)));
        world.advance(Duration::from_secs(601));
        rollout(world, RolloutState::Paused).await;
        let why = scene.shop.last_move().await.problem.unwrap();
        assert!(why.contains("of its jobs were not done within 600 s"), "{why}");
        assert_eq!(scene.shop.seen().await.release, scene.first);
        until("they are taken again", async || problem().await.is_none()).await;
        scene.is_paused(world, false).await;
        until("all go on", async || {
            scene.all().await.iter().all(|job| job.state == JobState::Succeeded)
        })
        .await;
        assert!(!scene.done_by("other").contains(&second));
    }

    async fn jobs_of_an_old_version_are_done_by_the_old_release_until_none_is_left(world: &World) {
        let scene = Scene::open(world).await;
        let old = scene.asks(in_an_hour("work")).await.unwrap();
        let second = scene.stage(world, 2, "2-2").await;
        promote_as(world, &second, plan(Strategy::Versioned)).await.unwrap();
        rollout(world, RolloutState::Done).await;
        assert_eq!(scene.shop.seen().await.release, second);
        until("it is kept", async || scene.released(world, &scene.first).await.does_old_jobs).await;
        let both = BTreeSet::from([scene.first.clone(), second.clone()]);
        until("nodes have it", async || scene.machine.told(|told| told.has == both)).await;
        until("it serves nobody", async || {
            scene.machine.told(|told| told.runs.last() == Some(&[second.clone()].into()))
        })
        .await;
        scene.asks(NewJob { version: Some(2), name: "work".into(), ..NewJob::default() }).await.unwrap();
        until("the new one is done", async || scene.done_by("work") == [second.clone()]).await;
        world.advance(Duration::from_hours(1));
        until("it is done", async || scene.job(old).await.state == JobState::Succeeded).await;
        assert_eq!(scene.done_by("work"), [second.clone(), scene.first.clone()]);
        until("it is retired", async || !scene.released(world, &scene.first).await.does_old_jobs).await;
        until("nodes need it no more", async || {
            scene.machine.told(|told| told.has == [second.clone()].into())
        })
        .await;
    }

    async fn old_code_never_runs_for_a_database_that_it_cannot_read(world: &World) {
        let scene = Scene::open(world).await;
        let old = scene.asks(in_an_hour("work")).await.unwrap();
        let other = scene.asks(in_an_hour("other")).await.unwrap();
        let both = "schema = 2\ncompatible = true";
        let second = stage(world, "shared", both, &jobs(2, "2-2")).await.digest;
        promote_as(world, &second, plan(Strategy::Versioned)).await.unwrap();
        rollout(world, RolloutState::Done).await;
        // What the old code can live with, it is run for.
        until("it is kept", async || scene.released(world, &scene.first).await.does_old_jobs).await;
        assert_eq!(scene.job(old).await.state, JobState::Delayed);
        let third = stage(world, "shared", "schema = 3", &jobs(3, "3-3")).await.digest;
        promote_as(world, &third, plan(Strategy::Versioned)).await.unwrap();
        rollout(world, RolloutState::Done).await;
        let aside = scene.job(old).await;
        assert_eq!(aside.state, JobState::SetAside);
        let why = aside.problem.unwrap();
        assert!(why.contains("no release that can read its database accepts"), "{why}");
        assert_eq!(scene.job(other).await.state, JobState::Delayed, "it is accepted");
        // Nor for what comes later.
        let late = NewJob { version: Some(1), name: "work".into(), ..NewJob::default() };
        let late = scene.asks(late).await.unwrap();
        until("it is not kept", async || {
            !scene.released(world, &scene.first).await.does_old_jobs
                && scene.machine.told(|told| told.has == [third.clone()].into())
        })
        .await;
        assert!(scene.done_by("work").is_empty());
        assert!(scene.job(late).await.state.waits());
    }

    async fn a_rollout_that_is_given_up_has_instances_turn_back_before_another_begins(world: &World) {
        let scene = Scene::open(world).await;
        let runs = scene.is_at_work().await;
        let second = scene.stage(world, 2, "1-2").await;
        let begun = promote_as(world, &second, plan(Strategy::Drain)).await.unwrap();
        until("its gate is closed", async || {
            let job = scene.shop.queue("other").await.unwrap()[0];
            scene.job(job).await.state == JobState::Held
        })
        .await;
        let operator = world.operator().await;
        let (service, number) = (begun.service, begun.number);
        operator.call(SteerRollout { service, number, steer: Steer::Cancel }).await.unwrap();
        until("another can begin", async || {
            let promoted = promote_as(world, &scene.first, RolloutPlan::default()).await;
            promoted.as_ref().err().inspect(|it| assert_eq!(it.code, "rollout_turning_back"));
            promoted.is_ok()
        })
        .await;
        let why = scene.shop.last_move().await.problem.unwrap();
        assert_eq!(why, "the rollout was given up");
        rollout(world, RolloutState::Done).await;
        scene.is_let_go(runs).await;
        until("what was kept is done", async || {
            scene.all().await.iter().all(|job| job.state == JobState::Succeeded)
        })
        .await;
        assert!(!scene.done_by("other").contains(&second));
    }

    async fn a_plan_for_jobs_that_makes_no_sense_is_refused(world: &World) {
        let scene = Scene::open(world).await;
        let second = scene.stage(world, 2, "1-2").await;
        let wrong = [
            Workers { refuses: true, ..plan(Strategy::Restart).workers },
            Workers { within_seconds: Some(5), ..Workers::default() },
            Workers { within_seconds: Some(0), ..plan(Strategy::Drain).workers },
            Workers { within_seconds: Some(86_401), ..plan(Strategy::Purge).workers },
        ];
        for workers in wrong {
            let plan = RolloutPlan { workers, ..RolloutPlan::default() };
            let refused = promote_as(world, &second, plan).await.unwrap_err();
            assert_eq!(refused.code, "rollout_plan", "{refused}");
        }
    }
}

impl Scene {
    /// A job as it is asked for by itself.
    async fn seen(&self, world: &World, job: JobId) -> Job {
        world.operator().await.call(api::jobs::GetJob { job }).await.unwrap()
    }
}
