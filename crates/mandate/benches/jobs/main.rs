//! What the queue does: jobs a second from enqueue to done, through the HTTP interface of the real
//! program, with nothing and with a million waiting; how soon a job is had; what idle workers cost;
//! and what PostgreSQL does by itself with a table and `skip locked`.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should stop there")]

mod bare;
#[path = "../../tests/crash/platform.rs"]
#[expect(dead_code, reason = "a test does more with it")]
mod platform;
#[path = "../../tests/crash/shop.rs"]
mod shop;

use std::{sync::Mutex, time::Instant};

use api::jobs::{BATCH_MAX, NewJob, Outcome};
use platform::Platform;
use shop::{Shop, Worker};

/// How many jobs are done in a measurement.
const JOBS: usize = 50_000;
/// Who queues, and who works.
const AT_ONCE: usize = 4;

#[tokio::main]
async fn main() {
    let waiting = std::env::var("JOBS_WAITING").ok().and_then(|text| text.parse().ok());
    let waiting = waiting.unwrap_or(1_000_000);
    let server = std::env::var("MANDATE_TEST_POSTGRES").expect("set MANDATE_TEST_POSTGRES");
    say("bare `skip locked`", "claim and complete", bare::jobs_per_second(&server, JOBS).await);
    for (name, database) in [("PostgreSQL", server.as_str()), ("SQLite", "sqlite")] {
        measure(name, database, waiting).await;
    }
}

fn say(who: &str, what: &str, rate: f64) {
    println!("{who}: {what}: {rate:.0} jobs/s");
}

async fn measure(name: &str, database: &str, waiting: usize) {
    let mut platform = Platform::new(&format!("bench-{name}"), database).without_agent();
    platform.start().await;
    platform.publish();
    let (shop, first) = Shop::open(&platform).await;
    let mut workers = vec![first];
    for number in 1..AT_ONCE {
        let release = workers[0].release.clone();
        workers.push(Worker::join(&platform, &format!("worker-{number}"), release).await);
    }
    idle(name, &platform, &shop, &mut workers).await;
    through(name, "from enqueue to done", &platform, &shop, &mut workers).await;
    burn(name, "claim and complete", &platform, &shop, &mut workers).await;
    let begun = Instant::now();
    queue(&platform, &shop, waiting, Some(-1_000)).await;
    say(name, "queued", a_second(waiting, begun));
    let with = format!("with {waiting} waiting");
    idle(&format!("{name} {with}"), &platform, &shop, &mut workers).await;
    through(name, &format!("from enqueue to done {with}"), &platform, &shop, &mut workers).await;
    burn(name, &format!("claim and complete {with}"), &platform, &shop, &mut workers).await;
    platform.stop().await;
}

/// Queues jobs in batches, several at once.
async fn queue(platform: &Platform, shop: &Shop, count: usize, priority: Option<i32>) {
    let left = Mutex::new(count);
    let enqueue = |number: usize| {
        let left = &left;
        async move {
            loop {
                let size = {
                    let mut left = left.lock().unwrap();
                    let size = (*left).min(BATCH_MAX);
                    *left -= size;
                    size
                };
                if size == 0 {
                    return;
                }
                let job = || NewJob { name: "work".into(), priority, ..NewJob::default() };
                let jobs = (0..size).map(|_| job()).collect();
                let key = format!("{number}-{:?}", Instant::now());
                shop.enqueue(platform, jobs, &key).await.unwrap();
            }
        }
    };
    futures_util::future::join_all((0..AT_ONCE).map(enqueue)).await;
}

/// Works until so many jobs are done.
async fn work(platform: &Platform, workers: &mut [Worker], count: usize) {
    let done = Mutex::new(0);
    let each = workers.iter_mut().map(|worker| {
        let done = &done;
        async move {
            while *done.lock().unwrap() < count {
                let leases = worker.lease(platform, 1_000).await.unwrap();
                let ends: Vec<_> =
                    leases.into_iter().map(|lease| (lease, Outcome::Succeeded)).collect();
                if !ends.is_empty() {
                    let size = ends.len();
                    worker.report(platform, ends).await.unwrap();
                    *done.lock().unwrap() += size;
                }
            }
        }
    });
    futures_util::future::join_all(each).await;
}

/// How many a second, since `begun`.
fn a_second(jobs: usize, begun: Instant) -> f64 {
    let jobs = u32::try_from(jobs).expect("fewer are measured");
    f64::from(jobs) / begun.elapsed().as_secs_f64()
}

async fn through(name: &str, what: &str, platform: &Platform, shop: &Shop, workers: &mut [Worker]) {
    let begun = Instant::now();
    tokio::join!(queue(platform, shop, JOBS, None), work(platform, workers, JOBS));
    say(name, what, a_second(JOBS, begun));
}

async fn burn(name: &str, what: &str, platform: &Platform, shop: &Shop, workers: &mut [Worker]) {
    queue(platform, shop, JOBS, None).await;
    let begun = Instant::now();
    work(platform, workers, JOBS).await;
    say(name, what, a_second(JOBS, begun));
}

/// How soon one job is had by a worker that waits, and what it costs to wait.
async fn idle(name: &str, platform: &Platform, shop: &Shop, workers: &mut [Worker]) {
    let mut took = Vec::new();
    let worker = &mut workers[0];
    for number in 0..300 {
        let key = format!("idle-{name}-{number}");
        let job = || vec![NewJob { name: "work".into(), ..NewJob::default() }];
        let (had, begun) = tokio::join!(
            async {
                let mut leases = Vec::new();
                while leases.is_empty() {
                    leases = worker.lease(platform, 1).await.unwrap();
                }
                (leases, Instant::now())
            },
            async {
                let begun = Instant::now();
                shop.enqueue(platform, job(), &key).await.unwrap();
                begun
            }
        );
        let (leases, when) = had;
        took.push(when.saturating_duration_since(begun));
        let ends = leases.into_iter().map(|lease| (lease, Outcome::Succeeded)).collect();
        worker.report(platform, ends).await.unwrap();
    }
    took.sort();
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
    println!("{name}: from enqueue to lease: p50 {:.1} ms, p99 {:.1} ms", at(50), at(99));
}
