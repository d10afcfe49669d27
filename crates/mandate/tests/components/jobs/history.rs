//! Many jobs and workers that die, stop and come back: what each did is written down, and the
//! whole is looked at in the end.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use api::jobs::{JobDefinition, JobState, Lease, NewJob, Outcome, Verdict};
use types::{Digest, JobId};

use super::{Shop, Worker, definition, digest, release, work};
use crate::{
    effects::{Dice, Effects},
    world::World,
};

const SHOPS: usize = 6;
const WORKERS: usize = 6;

/// How many jobs there are: enough for a test, or as many as a soak asks for.
fn jobs_in_all() -> usize {
    let asked = std::env::var("HISTORY_JOBS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(600)
}

async fn work_on(
    world: &World,
    number: usize,
    jobs: usize,
    effects: &Mutex<Effects>,
    done: &Mutex<usize>,
) {
    let mut dice = Dice(number as u64 + 1);
    let name = format!("worker-{number}");
    let worker = Worker::join(world, &name).await;
    let releases: Vec<Digest> = match number % 3 {
        0 => vec![digest("old")],
        1 => vec![digest("new")],
        _ => vec![digest("old"), digest("new")],
    };
    let mut stopped: Vec<Lease> = Vec::new();
    // One that was lost too often is never done: then there is nothing to be had for long.
    let mut in_vain = 0;
    while *done.lock().unwrap() < jobs && in_vain < 200 {
        let leases = worker.lease_of(&releases, 1 + u32::try_from(dice.roll(8)).unwrap()).await;
        in_vain = if leases.is_empty() { in_vain + 1 } else { 0 };
        if leases.is_empty() {
            world.advance(Duration::from_secs(20));
            tokio::task::yield_now().await;
        }
        for lease in leases {
            let is_old = lease.release == digest("old");
            let accepted = if is_old { lease.version <= 2 } else { lease.version >= 2 };
            assert!(accepted && releases.contains(&lease.release), "{lease:?}");
            effects.lock().unwrap().begin(&lease);
            match dice.roll(12) {
                // It is killed: nobody hears of it again.
                0 => {}
                // It is stopped, and goes on when everybody has thought it dead.
                1 => stopped.push(lease),
                2 => {
                    worker.report(&lease, Outcome::Lost).await;
                }
                _ => {
                    effects.lock().unwrap().make(&lease);
                    let kept = worker.report(&lease, Outcome::Succeeded).await == Verdict::Kept;
                    *done.lock().unwrap() += usize::from(kept);
                }
            }
        }
        if dice.roll(4) == 0 {
            for lease in stopped.drain(..) {
                // Its answer may come too late, and then it counts for nothing.
                effects.lock().unwrap().make(&lease);
                let kept = worker.report(&lease, Outcome::Succeeded).await == Verdict::Kept;
                *done.lock().unwrap() += usize::from(kept);
            }
        }
        let gone: BTreeSet<JobId> = stopped.iter().map(|lease| lease.job).collect();
        worker.holding.lock().unwrap().retain(|job| gone.contains(job));
    }
}

stories! {
    async fn none_is_lost_none_is_done_twice_and_none_by_a_release_that_does_not_accept_it(
        world: &World
    ) {
        let versions = |oldest, newest| JobDefinition {
            version: newest,
            oldest,
            newest,
            attempts: 100,
            ..definition()
        };
        release(world, "forum", "old", 1, &[("work", versions(1, 2))]).await;
        release(world, "forum", "new", 2, &[("work", versions(2, 3))]).await;
        let mut jobs = Vec::new();
        for number in 0..SHOPS {
            let shop = Shop::of(world, "forum", &format!("shop-{number}")).await;
            let new = |place: usize| NewJob {
                version: Some(1 + u32::try_from(place % 3).unwrap()),
                ..work()
            };
            let all: Vec<NewJob> = (0..jobs_in_all() / SHOPS).map(new).collect();
            for batch in all.chunks(1_000) {
                jobs.extend(shop.asks(batch.to_vec()).await.unwrap());
            }
        }
        let (effects, done) = (Mutex::default(), Mutex::new(0));
        let workers = (0..WORKERS).map(|number| work_on(world, number, jobs.len(), &effects, &done));
        let all = futures_util::future::join_all(workers);
        tokio::time::timeout(Duration::from_hours(1), all).await.expect("every job ends");
        let effects = effects.into_inner().unwrap();
        let shop = Shop::of(world, "forum", "shop-0").await;
        for job in &jobs {
            let seen = shop.seen(*job).await;
            let state = seen.state;
            assert!(matches!(state, JobState::Succeeded | JobState::Failed), "{job} is {state:?}");
            assert!(state == JobState::Succeeded || seen.lost == 10, "{seen:?}");
            assert_eq!(seen.attempts > 0, effects.tokens.contains_key(job));
            assert!(state == JobState::Failed || effects.made[job] == 1, "{job}");
        }
        assert!(effects.made.values().all(|made| *made == 1));
    }
}
