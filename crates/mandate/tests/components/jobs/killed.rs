//! The process is killed after each durable step of ticks that are queued. Started again, with its
//! clock where it was or an hour back, each tick has become one job.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use api::manifest::Missed;
use db::EngineKind;
use types::Timestamp;

use super::{
    Shop, now, release,
    schedules::{HOUR, hourly, to_next_hour},
};
use crate::world::{World, until};

const FOLDER: &str = "MANDATE_TEST_TICKS";
const HOURS_AT_A_TIME: usize = 2;
const STEPS_MAX: usize = 60;
const LONGEST: Duration = Duration::from_mins(8);

#[tokio::test]
async fn ticks_survive_a_kill_after_each_durable_step_on_sqlite() {
    Box::pin(kill_after_each_step(EngineKind::Sqlite, 1)).await;
}

/// Every second step is enough here: what differs from SQLite is below the steps.
#[tokio::test]
async fn ticks_survive_a_kill_after_every_second_durable_step_on_postgres() {
    Box::pin(kill_after_each_step(EngineKind::Postgres, 2)).await;
}

/// Runs in a process of its own, and lets some hours pass.
#[tokio::test]
#[ignore = "run by `ticks_survive_…`, in a process of its own, which is killed"]
async fn ticking() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let kind = std::fs::read_to_string(folder.join("engine")).unwrap().parse().unwrap();
    let world = world(&folder, kind).await;
    let shops = shops(&world).await;
    // From here on each durable step is counted.
    std::fs::rename(folder.join("steps"), folder.join("crash")).unwrap();
    let mut hours = 0;
    while hours < HOURS_AT_A_TIME {
        // What was queued before a kill takes no more steps: such an hour does not count.
        let passed = ticks(now(&world)).len();
        let mut is_new = false;
        for shop in &shops {
            is_new |= shop.recurred("digest").await.len() <= passed;
        }
        hours += usize::from(is_new);
        to_next_hour(&world);
        for shop in &shops {
            let all = async || shop.recurred("digest").await.len() >= ticks(now(&world)).len();
            until("its ticks are queued", all).await;
        }
        std::fs::write(folder.join("moment"), now(&world).to_string()).unwrap();
    }
    db::testing::kill_never(&folder.join("crash")).unwrap();
    world.close().await;
}

const BEGIN: &str = "2026-12-01T00:00:00Z";

async fn kill_after_each_step(kind: EngineKind, stride: usize) {
    let folder = std::env::temp_dir().join(format!("mandate-ticks-{}-{kind}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("moment"), BEGIN).unwrap();
    std::fs::write(folder.join("engine"), kind.to_string()).unwrap();
    let first = world(&folder, kind).await;
    release(&first, "forum", "release", 1, &[("digest", hourly(Missed::All, 0))]).await;
    shops(&first).await;
    first.close().await;
    let begun = Instant::now();
    let lived = (0..STEPS_MAX).step_by(stride).find(|steps| {
        // A tick that is lost is waited for each time, and other rooms' steps are counted meanwhile.
        assert!(begun.elapsed() < LONGEST, "a tick is waited for in vain");
        !is_killed(&folder, *steps)
    });
    let steps = lived.expect("it ends within its steps");
    println!("{kind}: killed after up to {steps} durable steps");
    // The ticks of both may be queued in one.
    assert!(steps >= HOURS_AT_A_TIME, "these ticks have more durable steps than {steps}");
    let last = world(&folder, kind).await;
    let ticks = ticks(now(&last));
    assert!(ticks.len() >= HOURS_AT_A_TIME);
    for shop in shops(&last).await {
        let mut queued = Vec::new();
        for job in shop.recurred("digest").await {
            queued.push(shop.seen(job.job).await.payload["tick"].clone());
        }
        assert_eq!(queued, ticks, "each once");
    }
    last.end().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Lets hours pass in a process that is killed after so many durable steps; whether it was.
fn is_killed(folder: &Path, steps: usize) -> bool {
    std::fs::write(folder.join("steps"), steps.to_string()).unwrap();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "jobs::killed::ticking", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env("MANDATE_CRASH_FILE", folder.join("crash"))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let killed = ended.signal() == Some(9);
    assert!(killed || ended.success(), "after {steps} steps: {ended}");
    db::testing::kill_never(&folder.join("crash")).unwrap();
    killed
}

async fn world(folder: &Path, kind: EngineKind) -> World {
    let moment = std::fs::read_to_string(folder.join("moment")).unwrap();
    Box::pin(World::start_in(folder.join("data"), kind, &moment, async |_| {})).await
}

async fn shops(world: &World) -> [Shop; 2] {
    [Shop::of(world, "forum", "one").await, Shop::of(world, "forum", "two").await]
}

/// The full hours since the beginning.
fn ticks(now: Timestamp) -> Vec<serde_json::Value> {
    let begin: Timestamp = BEGIN.parse().unwrap();
    let hours = now.since(begin).as_secs() / HOUR.as_secs();
    let hour = |hour: u64| begin.plus(HOUR * u32::try_from(hour).unwrap());
    (1..=hours).map(|number| serde_json::json!(hour(number))).collect()
}
