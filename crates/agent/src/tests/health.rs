//! How a replica is asked whether it is ready and alive, and what comes before its start.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::releases::ReplicaState;
use types::{Clock as _, InstanceId, SystemClock};

use super::{
    Agent, Folder, PACE, config,
    packages::Package,
    platform::Platform,
    replicas::{ask, number, want},
};
use crate::pause::Pace;

/// Where a replica's temporary files are, by what it says of itself.
fn temporary(address: &str) -> PathBuf {
    ask(address, "/")["environ"]["TMPDIR"].as_str().unwrap().into()
}

/// The folder of the instance that everybody's replica is for.
fn home(agent: &Path) -> PathBuf {
    agent.join("instances").join(InstanceId::named(&["instance"]).to_string())
}

#[tokio::test]
async fn what_is_not_ready_is_left_alone_and_what_is_not_alive_is_started_again() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let health = "health = \"/ready\"\nlive = \"/live\"";
    want(&platform, &Package { health, ..Package::new("serve") }, 1);
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let (pid, place) = (ask(&healthy.address, "/")["pid"].clone(), temporary(&healthy.address));
    fs::write(place.join("unready"), "").unwrap();
    let unready = platform.replica(ReplicaState::Unready, 1).await;
    assert!(
        unready
            .log
            .ends_with("stopped answering `GET /ready`: the answer is 500 Internal Server Error")
    );
    // As long as another one would have been given up twice.
    tokio::time::sleep(PACE.look * 6).await;
    assert_eq!(ask(&healthy.address, "/")["pid"], pid);
    fs::remove_file(place.join("unready")).unwrap();
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    assert_eq!((healthy.starts, &ask(&healthy.address, "/")["pid"]), (1, &pid));
    fs::write(place.join("unwell"), "").unwrap();
    let again = platform.replica(ReplicaState::Healthy, 2).await;
    assert!(again.log.contains("stopped answering `GET /live`"), "{}", again.log);
    agent.stop().await;
}

#[tokio::test]
async fn a_connection_another_host_or_a_command_says_how_a_replica_is() {
    let platform = Platform::new();
    for (mode, health) in [
        ("choosy", "health = { http = \"/\", host = \"check.example\" }"),
        ("choosy", "health = { tcp = true }"),
    ] {
        let folder = Folder::new();
        want(&platform, &Package { health, ..Package::new(mode) }, 1);
        let agent = Agent::start(&platform, folder.path());
        platform.replica(ReplicaState::Healthy, 1).await;
        agent.stop().await;
        platform.change(|state| state.nodes.clear());
    }
    let folder = Folder::new();
    let job = "test ! -e \"$HOME/unwell\" || { echo unwell; exit 1; }";
    let health = "health = { command = [\"./job.sh\"] }";
    want(&platform, &Package { job, health, ..Package::new("serve") }, 1);
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    // The command does not say whether it listens.
    let listens = || std::net::TcpStream::connect(&healthy.address).is_ok();
    super::eventually("a replica that listens", listens).await;
    let pid = number(&ask(&healthy.address, "/")["pid"]);
    fs::write(home(folder.path()).join("unwell"), "").unwrap();
    let failing = platform.replica(ReplicaState::Failing, 1).await;
    let why = "stopped answering `./job.sh`: ended with status 1: unwell";
    assert!(failing.log.ends_with(why), "{}", failing.log);
    assert!(!super::runs(pid));
    agent.stop().await;
}

#[tokio::test]
async fn what_comes_before_a_start_must_end_well_and_what_it_printed_is_kept() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let job = "echo warming; test -e \"$HOME/warm\"";
    let health = "pre_start = [\"./job.sh\"]";
    want(&platform, &Package { job, health, ..Package::new("serve") }, 1);
    let agent = Agent::start(&platform, folder.path());
    let looping = platform.replica(ReplicaState::CrashLoop, 3).await;
    assert_eq!(looping.log, "warming\nits `pre_start` ended with status 1");
    let fate = looping.fate(SystemClock.now()).unwrap();
    let words = "last words: warming; its `pre_start` ended with status 1";
    assert!(fate.starts_with("next start in ") && fate.ends_with(words), "{fate}");
    fs::write(home(folder.path()).join("warm"), "").unwrap();
    let healthy = platform.replica(ReplicaState::Healthy, 4).await;
    assert!(healthy.log.ends_with("--- started again ---\nwarming\nstarting in mode serve\n"));
    assert_eq!(healthy.fate(SystemClock.now()), None);
    agent.stop().await;
}

#[tokio::test]
async fn what_comes_before_a_start_has_a_limit() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let (job, health) = ("sleep 3600", "pre_start = [\"./job.sh\"]");
    want(&platform, &Package { job, health, ..Package::new("serve") }, 1);
    let pace = Pace { pre_start: Duration::from_secs(1), ..PACE };
    let agent = Agent::run_at(config(&platform, folder.path(), Arc::new(SystemClock)), pace);
    let failing = platform.replica(ReplicaState::Failing, 1).await;
    assert_eq!(failing.log, "its `pre_start` was stopped: it took longer than 1 s");
    // One that is stopped meanwhile leaves nothing.
    platform.replica(ReplicaState::Starting, 2).await;
    agent.stop().await;
    super::eventually("its end", || super::processes_of(folder.path()).is_empty()).await;
}
