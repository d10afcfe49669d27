//! The process is killed after each durable step of an update that does something about jobs, for each
//! way to deal with them. Started again, the instance is on the new release, every job is done or set
//! aside as the way says, and new ones are taken and done.

use std::time::Duration;

use api::{
    configurator::GetInstance,
    jobs::{EnqueueJobs, GetInstanceJob, Job, JobState, NewJob, Strategy, Workers},
    releases::{RolloutPlan, RolloutState},
};
use db::EngineKind;
use types::{Digest, JobId};

use crate::{
    migrations::{MANIFEST, PROGRAM, Shop},
    platform::Platform,
};

#[tokio::test]
async fn a_restart_of_workers_survives_kills() {
    survives_kills("restarts", EngineKind::Sqlite, Strategy::Restart, 29).await;
}

#[tokio::test]
async fn a_purge_of_jobs_survives_kills() {
    survives_kills("purges", EngineKind::Sqlite, Strategy::Purge, 29).await;
}

#[tokio::test]
async fn a_drain_of_jobs_survives_kills() {
    survives_kills("drains", EngineKind::Sqlite, Strategy::Drain, 29).await;
}

#[tokio::test]
async fn an_update_by_versions_survives_kills_on_postgres() {
    survives_kills("versions", EngineKind::Postgres, Strategy::Versioned, 29).await;
}

#[tokio::test]
#[ignore = "it takes minutes: `./x soak migrations` runs it"]
async fn each_way_to_deal_with_jobs_survives_a_kill_after_each_durable_step() {
    let all = [Strategy::Versioned, Strategy::Restart, Strategy::Purge, Strategy::Drain];
    for (strategy, number) in all.into_iter().zip(0..) {
        let name = |engine| format!("workers-each-{number}-{engine}");
        survives_kills(&name("sqlite"), EngineKind::Sqlite, strategy, 1).await;
        survives_kills(&name("pg"), EngineKind::Postgres, strategy, 3).await;
    }
}

async fn survives_kills(name: &str, engine: EngineKind, strategy: Strategy, stride: usize) {
    let mut platform = Platform::new(name, engine);
    platform.start().await;
    let shop = Shop::open(&platform).await;
    let workers = Workers { strategy, ..Workers::default() };
    let plan = RolloutPlan { workers, ..RolloutPlan::default() };
    let mut version = 1;
    let update = async |platform: &mut Platform, steps| {
        version += 1;
        let release = stage(&shop, platform, version, strategy).await;
        // Some wait and some run.
        let mut jobs = queue(&shop, platform, version - 1, None, 3).await;
        jobs.extend(queue(&shop, platform, version - 1, Some(2), 2).await);
        let killed = platform
            .goes_on(steps, async |platform| {
                let rollout = shop.promoted_by(platform, &release, plan.clone()).await?;
                Ok(rollout.is_some_and(|rollout| rollout.state == RolloutState::Done))
            })
            .await;
        let get = GetInstance { account: shop.account, instance: shop.instance };
        assert_eq!(shop.client(platform).call(get).await.unwrap().release, release);
        jobs.extend(queue(&shop, platform, version, None, 1).await);
        for (job, number) in jobs.into_iter().zip(1..) {
            let seen = ended(&shop, platform, job).await;
            let is_old = number < 6;
            let is_aside = seen.state == JobState::SetAside;
            assert!(!is_aside || (is_old && strategy == Strategy::Purge), "{seen:?}");
            assert!(is_aside || seen.state == JobState::Succeeded, "{seen:?}");
            let by_new = seen.release.as_ref() == Some(&release);
            if is_old && matches!(strategy, Strategy::Versioned | Strategy::Purge) {
                assert!(!by_new, "the new one does not accept it: {seen:?}");
            }
            assert!(is_old || by_new, "{seen:?}");
        }
        killed
    };
    let steps = platform.killed_after_each_step(stride, update).await;
    assert!(steps > 10, "an update has more durable steps than {steps}");
    platform.stop().await;
}

/// A release whose jobs have this version. Of a restart and of a drain it does the older ones too.
async fn stage(shop: &Shop, platform: &Platform, version: u32, strategy: Strategy) -> Digest {
    let oldest = match strategy {
        Strategy::Restart | Strategy::Drain => version - 1,
        Strategy::Purge | Strategy::Versioned => version,
    };
    let manifest = MANIFEST.replace("\"shared\"", "\"dedicated\"");
    let work = "[jobs.work]\n";
    let versions = format!("{work}version = {version}\naccepts = \"{oldest}-{version}\"\n");
    shop.stage_as(platform, manifest.replace(work, &versions), PROGRAM, false).await
}

async fn queue(
    shop: &Shop,
    platform: &Platform,
    version: u32,
    delay_seconds: Option<u32>,
    count: usize,
) -> Vec<JobId> {
    let job =
        NewJob { name: "work".into(), version: Some(version), delay_seconds, ..NewJob::default() };
    let (account, instance) = (shop.account, shop.instance);
    let enqueue = EnqueueJobs { account, instance, jobs: vec![job; count] };
    loop {
        match shop.client(platform).call(enqueue.clone()).await {
            Ok(queued) => return queued.jobs,
            // It has heard of the release that the instance is on in a moment.
            Err(problem) if problem.is_transient() || problem.code == "version" => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(problem) => panic!("{problem}"),
        }
    }
}

async fn ended(shop: &Shop, platform: &Platform, job: JobId) -> Job {
    let get = GetInstanceJob { account: shop.account, instance: shop.instance, job };
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        match shop.client(platform).call(get.clone()).await {
            Ok(job) if job.state.has_ended() => return job,
            seen => assert!(tokio::time::Instant::now() < deadline, "{seen:?}\n{}", platform.log()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
