//! What the queue does: jobs a second from enqueue to done, through the HTTP interface of the real
//! program, with nothing and with many waiting; how soon a job is had; what workers cost that wait;
//! and what PostgreSQL does by itself with a table and `skip locked`.
//!
//! `jobs bare|postgres|sqlite JOBS WAITING ROUNDS` prints a line of JSON for each figure. What is
//! told with `WAITING` jobs in the queue is measured in the same process without them before.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should stop there")]

mod bare;
#[path = "../../tests/crash/platform.rs"]
#[expect(dead_code, reason = "a test does more with it")]
mod platform;
#[path = "../../tests/crash/shop.rs"]
mod shop;

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use api::jobs::{BATCH_MAX, NewJob, Outcome};
use db::EngineKind;
use platform::Platform;
use shop::{Shop, Worker};

/// Who queues, and who works.
const AT_ONCE: usize = 4;
/// So many workers wait for so long while it is looked what that costs.
const IDLE: u32 = 50;
const IDLE_FOR: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    // `cargo bench` adds an option of its own.
    let told: Vec<String> =
        std::env::args().skip(1).filter(|told| !told.starts_with('-')).collect();
    let number = |place: usize| told.get(place).map_or(0, |text| text.parse().unwrap());
    let (jobs, waiting, rounds) = (number(1), number(2), number(3).max(1));
    let server = || std::env::var("MANDATE_TEST_POSTGRES").expect("set MANDATE_TEST_POSTGRES");
    match told.first().map(String::as_str) {
        Some("bare") => {
            for _ in 0..rounds {
                let rate = bare::jobs_per_second(&server(), jobs).await;
                say("bare `skip locked`", BURN, rate, "jobs/s");
            }
        }
        Some("postgres") => {
            measure("Mandate on PostgreSQL", EngineKind::Postgres, (jobs, waiting, rounds)).await;
        }
        Some("sqlite") => {
            measure("Mandate on SQLite", EngineKind::Sqlite, (jobs, waiting, rounds)).await;
        }
        _ => panic!("say `bare`, `postgres` or `sqlite`, then JOBS, WAITING and ROUNDS"),
    }
}

const THROUGH: &str = "from enqueue to done";
const BURN: &str = "claim and complete";

fn say(who: &str, what: &str, value: f64, unit: &str) {
    println!("{}", serde_json::json!({ "who": who, "what": what, "value": value, "unit": unit }));
}

async fn measure(who: &str, engine: EngineKind, (jobs, waiting, rounds): (usize, usize, usize)) {
    let mut platform = Platform::new(&format!("bench-{engine}"), engine).without_agent();
    platform.start().await;
    platform.publish();
    let (shop, first) = Shop::open(&platform).await;
    let mut workers = vec![first];
    for number in 1..AT_ONCE {
        let release = workers[0].release.clone();
        workers.push(Worker::join(&platform, &format!("worker-{number}"), release).await);
    }
    let mut round = async |with: &str| {
        let (platform, shop) = (&platform, &shop);
        latency((who, with), platform, shop, &mut workers[0]).await;
        let begun = Instant::now();
        let ((), ended) =
            tokio::join!(queue(platform, shop, jobs, None), work(platform, &mut workers, jobs));
        say(who, &format!("{THROUGH}{with}"), a_second(jobs, ended - begun), "jobs/s");
        queue(platform, shop, jobs, None).await;
        let begun = Instant::now();
        let ended = work(platform, &mut workers, jobs).await;
        say(who, &format!("{BURN}{with}"), a_second(jobs, ended - begun), "jobs/s");
    };
    for _ in 0..rounds {
        round("").await;
    }
    if waiting > 0 {
        let begun = Instant::now();
        queue(&platform, &shop, waiting, Some(-1_000)).await;
        say(who, "enqueue alone", a_second(waiting, begun.elapsed()), "jobs/s");
        for _ in 0..rounds {
            round(&format!(", {waiting} waiting")).await;
        }
    } else {
        idle(who, &platform, &workers[0]).await;
    }
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

/// Works until so many jobs are done; answers when that was. Who waits for more hears of it later.
async fn work(platform: &Platform, workers: &mut [Worker], count: usize) -> Instant {
    let done = Mutex::new(0);
    let ended = Mutex::new(Instant::now());
    let each = workers.iter_mut().map(|worker| {
        let (done, ended) = (&done, &ended);
        async move {
            while *done.lock().unwrap() < count {
                let leases = worker.lease(platform, 1_000).await.unwrap();
                let ends: Vec<_> =
                    leases.into_iter().map(|lease| (lease, Outcome::Succeeded)).collect();
                if !ends.is_empty() {
                    let size = ends.len();
                    worker.report(platform, ends).await.unwrap();
                    *done.lock().unwrap() += size;
                    *ended.lock().unwrap() = Instant::now();
                }
            }
        }
    });
    futures_util::future::join_all(each).await;
    ended.into_inner().unwrap()
}

/// How many a second.
fn a_second(jobs: usize, took: Duration) -> f64 {
    let jobs = u32::try_from(jobs).expect("fewer are measured");
    f64::from(jobs) / took.as_secs_f64()
}

/// How soon one job is had by a worker that waits.
async fn latency((who, with): (&str, &str), platform: &Platform, shop: &Shop, worker: &mut Worker) {
    let mut took = Vec::new();
    for _ in 0..200 {
        let key = format!("latency-{:?}", Instant::now());
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
    say(who, &format!("an idle queue's latency, p50{with}"), at(50), "ms");
    say(who, &format!("an idle queue's latency, p99{with}"), at(99), "ms");
}

/// What the platform's process spends on workers that wait and get nothing.
async fn idle(who: &str, platform: &Platform, worker: &Worker) {
    let spent = async |workers: u32| {
        let before = processor_time(platform);
        let begun = Instant::now();
        let waits =
            std::iter::repeat_n(worker.clone(), workers as usize).map(|mut worker| async move {
                worker.wait_millis = 5_000;
                while begun.elapsed() < IDLE_FOR {
                    assert!(worker.lease(platform, 1).await.unwrap().is_empty());
                }
            });
        futures_util::future::join_all(waits).await;
        tokio::time::sleep(IDLE_FOR.saturating_sub(begun.elapsed())).await;
        processor_time(platform).saturating_sub(before).as_secs_f64() * 1e6
    };
    let (nobody, many) = (spent(0).await, spent(IDLE).await);
    let share = (many - nobody) / f64::from(IDLE) / IDLE_FOR.as_secs_f64();
    say(who, "an idle worker's cost", share.max(0.0), "µs of a processor a second");
}

/// What the platform's process has spent, in user and in kernel mode.
fn processor_time(platform: &Platform) -> Duration {
    let (child, _) = platform.running.as_ref().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    let ticks = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    // Hundredths of a second on every machine of today, see `proc(5)`.
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
