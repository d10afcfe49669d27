//! Processes and clocks that misbehave: nobody else notices.

use std::{fs, path::Path, sync::Arc, time::Duration};

use api::{jobs::Outcome, releases::ReplicaState};
use types::{Clock as _, ManualClock, SystemClock};

use super::{
    Agent, Folder, eventually,
    jobs::queue_with,
    packages::Package,
    platform::{Platform, State},
    replicas::{ask, want},
    users::say,
};

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let sizes = entries.map(|entry| {
        let about = entry.metadata().unwrap();
        if about.is_dir() { bytes_in(&entry.path()) } else { about.len() }
    });
    sizes.sum()
}

#[tokio::test]
async fn a_replica_that_floods_its_output_is_well_and_fills_nothing() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let address = healthy.address.clone();
    let flood = "[print('x' * 9_999) for _ in range(5_000)] and print('that is all', flush=True)";
    let flooding = tokio::task::spawn_blocking(move || say(&address, flood));
    assert_eq!(flooding.await.unwrap(), "None", "it never waited for whoever reads");
    let told = |state: &State| {
        let mut all = state.nodes.values().flat_map(|node| &node.replicas);
        all.find(|it| it.log.ends_with("x\nthat is all\n")).cloned()
    };
    let told = platform.until("the end of what it printed", told).await;
    assert_eq!((told.state, told.starts), (ReplicaState::Healthy, 1));
    assert!(told.log.len() <= 8 << 10);
    let kept = bytes_in(&folder.path().join("replicas"));
    assert!(kept < 3 << 20, "{kept} of 50,000,000 bytes are kept");
    assert!(ask(&healthy.address, "/")["pid"].is_i64());
    agent.stop().await;
}

#[tokio::test]
async fn a_job_and_its_tokens_outlive_a_clock_that_leaps() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let noon = SystemClock.now();
    let clock = Arc::new(ManualClock::at(noon));
    let script = "until test -e ../../go; do sleep 0.02; done";
    let lease = queue_with(&platform, script, |lease| lease.lease_seconds = 3);
    let agent = Agent::start_with(&platform, folder.path(), clock.clone());
    let renewals = |state: &State| {
        state.reports.iter().filter(|report| report.outcome == Outcome::Running).count()
    };
    let token = format!("tokens/{}-{}", lease.account, lease.instance);
    let token = || fs::read_to_string(folder.path().join(&token)).unwrap_or_default();
    eventually("its first token", || token().ends_with("-1")).await;
    let day = Duration::from_hours(24);
    for (leap, now) in [noon.plus(day), noon.minus(day * 400), noon].into_iter().enumerate() {
        clock.set(now);
        let before = platform.change(|state| renewals(state));
        let renewed = |state: &State| (renewals(state) >= before + 3).then_some(());
        platform.until("its lease to be renewed", renewed).await;
        let number = format!("-{}", leap + 2);
        eventually("another token", || token().ends_with(&number)).await;
    }
    fs::write(folder.path().join("go"), "").unwrap();
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.problem), (Outcome::Succeeded, None));
    agent.stop().await;
}
