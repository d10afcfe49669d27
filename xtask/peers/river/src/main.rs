//! River for Rust: jobs that do nothing, queued in batches of a thousand while they are worked off,
//! and worked off alone. Usage: `river postgres://… JOBS`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use riverqueue::{
    BoxError, Client, Job, JobArgs, QueueConfig, WorkContext, WorkOutcome, Workers,
    migrate::PostgresMigrator,
    sqlx::postgres::{PgPool, PgPoolOptions},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

const BATCH: usize = 1_000;
const LOOPS: usize = 4;

#[derive(Clone, Debug, Deserialize, JobArgs, Serialize)]
#[river(kind = "noop")]
struct Noop {}

/// How many are done, and who waits for it.
#[derive(Default)]
struct Done {
    count: AtomicUsize,
    changed: Notify,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(jobs)) = (arguments.next(), arguments.next()) else {
        return Err("name a database and how many jobs".into());
    };
    let jobs: usize = jobs.parse()?;
    let pool = PgPoolOptions::new().max_connections(20).connect(&url).await?;
    PostgresMigrator::new(pool.clone()).migrate_up().await?;
    let begun = Instant::now();
    let done = Arc::new(Done::default());
    let client = client(pool.clone(), &done)?;
    let mut run = client.start()?;
    add(&client, jobs).await?;
    wait_for(&done, jobs).await;
    say("from enqueue to done", jobs, begun);
    run.stop().await?;
    let done = Arc::new(Done::default());
    let client = self::client(pool, &done)?;
    add(&client, jobs).await?;
    let begun = Instant::now();
    let mut run = client.start()?;
    wait_for(&done, jobs).await;
    say("claim and complete", jobs, begun);
    run.stop().await?;
    Ok(())
}

fn client(pool: PgPool, done: &Arc<Done>) -> Result<Client, BoxError> {
    let done = Arc::clone(done);
    let mut workers = Workers::new();
    workers.add_fn(move |_: WorkContext, _: Job<Noop>| {
        let done = Arc::clone(&done);
        async move {
            done.count.fetch_add(1, Ordering::SeqCst);
            done.changed.notify_one();
            Ok::<WorkOutcome, BoxError>(WorkOutcome::Complete)
        }
    })?;
    let client = Client::builder(pool)
        .workers(workers)
        .fetch_cooldown(Duration::from_millis(1))
        .queue("default", QueueConfig::new(2_000))
        .build()?;
    Ok(client)
}

async fn add(client: &Client, jobs: usize) -> Result<(), BoxError> {
    let left = AtomicUsize::new(jobs / BATCH);
    let take = |left: usize| left.checked_sub(1);
    let each = (0..LOOPS).map(|_| async {
        while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            client.insert_many(vec![Noop {}; BATCH]).await?;
        }
        Ok::<(), BoxError>(())
    });
    futures_util::future::try_join_all(each).await?;
    Ok(())
}

async fn wait_for(done: &Done, jobs: usize) {
    while done.count.load(Ordering::SeqCst) < jobs {
        done.changed.notified().await;
    }
}

fn say(what: &str, jobs: usize, begun: Instant) {
    let rate = jobs as f64 / begun.elapsed().as_secs_f64();
    let who = "River for Rust";
    println!(r#"{{"who":"{who}","what":"{what}","value":{rate},"unit":"jobs/s"}}"#);
}
