//! Replicas: started, watched, started again, stopped.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use api::releases::{Desired, ReplicaReport, ReplicaState};
use serde_json::Value;
use types::{Clock as _, ManualClock, Secret, SystemClock};

use super::{
    Agent, Folder, PACE, config, eventually,
    packages::{Package, replica},
    platform::{Platform, desired},
    runs,
};
use crate::pause::Pace;

/// Wants one replica of what is packed.
pub(super) fn want(platform: &Platform, package: &Package, generation: u64) {
    let release = package.publish(platform);
    let replica = replica(&release, generation);
    platform.want(move |_| desired(vec![release.clone()], vec![replica.clone()]));
}

pub(super) fn nothing(_: &api::releases::Heartbeat) -> Desired {
    desired(vec![], vec![])
}

/// Asks a replica; nothing if it ends without an answer.
pub(super) fn ask(address: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_default()
}

pub(super) fn number(value: &Value) -> i32 {
    i32::try_from(value.as_i64().unwrap()).unwrap()
}

#[tokio::test]
async fn a_dedicated_replica_gets_its_environment_and_nothing_else() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let variables = [("DATABASE_URL", "sqlite:///x.db"), ("SETUP_SECRET_WORD", "sesame-open")];
    let variables = variables.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    platform.change(|state| state.variables = variables.into());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    assert!(healthy.log.contains("starting in mode serve"));
    let answer = ask(&healthy.address, "/");
    let environ = answer["environ"].as_object().unwrap();
    let port = healthy.address.rsplit_once(':').unwrap().1;
    assert_eq!(environ["PORT"], port);
    assert_eq!(environ["DATABASE_URL"], "sqlite:///x.db");
    assert_eq!(environ["SETUP_SECRET_WORD"], "sesame-open");
    assert!(environ["HOME"].as_str().unwrap().starts_with(folder.path().to_str().unwrap()));
    // What shells and interpreters add for themselves, and what we gave.
    let known = [
        "DATABASE_URL",
        "DATA_DIR",
        "HOME",
        "HOST",
        "LANG",
        "LC_CTYPE",
        "MANDATE_JOBS_TOKEN_FILE",
        "MANDATE_JOBS_URL",
        "OLDPWD",
        "PATH",
        "PORT",
        "PWD",
        "SETUP_SECRET_WORD",
        "SHLVL",
        "TMPDIR",
        "_",
    ];
    let foreign: Vec<&String> =
        environ.keys().filter(|name| !known.contains(&name.as_str())).collect();
    let foreign: Vec<_> = foreign.into_iter().filter(|name| !name.contains("PYENV")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let (pid, child) = (number(&answer["pid"]), number(&answer["child"]));
    assert!(runs(pid) && runs(child));
    agent.stop().await;
    assert!(!runs(pid) && !runs(child), "the whole group is stopped");
    assert_eq!(fs::read_dir(folder.path().join("replicas")).unwrap().count(), 0);
    let told_last = platform.change(|state| state.nodes.values().next().cloned().unwrap());
    assert!(told_last.replicas.is_empty(), "nobody sends requests any more");
}

#[tokio::test]
async fn a_shared_replica_gets_a_token_that_is_renewed() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    want(&platform, &Package { tenancy: "shared", ..Package::new("serve") }, 0);
    let agent = Agent::start_with(&platform, folder.path(), Arc::<ManualClock>::clone(&clock));
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let environ = &ask(&healthy.address, "/")["environ"];
    assert_eq!(environ["MANDATE_TENANCY_URL"], "http://127.0.0.1:1");
    assert_eq!(environ["MANDATE_SERVICE"], "echo");
    let file = PathBuf::from(environ["MANDATE_TENANCY_TOKEN_FILE"].as_str().unwrap());
    let token = || fs::read_to_string(&file).unwrap();
    assert_eq!(token(), "echo-2", "the first is for jobs");
    clock.advance(Duration::from_mins(45));
    eventually("a new token", || token() == "echo-4").await;
    agent.stop().await;
}

#[tokio::test]
async fn a_replica_that_ends_is_started_again() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let (pid, child) = {
        let answer = ask(&first.address, "/");
        (number(&answer["pid"]), number(&answer["child"]))
    };
    ask(&first.address, "/die");
    let second = platform.replica(ReplicaState::Healthy, 2).await;
    assert_eq!(first.replica, second.replica);
    assert!(!runs(pid) && !runs(child), "what it leaves behind is ended");
    agent.stop().await;
}

#[tokio::test]
async fn children_that_left_the_group_end_with_their_replica() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("stray"), 1);
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let answer = ask(&first.address, "/");
    let left = [number(&answer["child"]), number(&answer["other"])];
    ask(&first.address, "/die");
    let second = platform.replica(ReplicaState::Healthy, 2).await;
    assert!(!left.iter().any(|pid| runs(*pid)), "a crash leaves nothing");
    let answer = ask(&second.address, "/");
    let left = [number(&answer["child"]), number(&answer["other"])];
    assert!(left.iter().all(|pid| runs(*pid)));
    agent.stop().await;
    assert!(!left.iter().any(|pid| runs(*pid)), "a stop leaves nothing either");
}

#[tokio::test]
async fn a_replica_that_stops_answering_is_started_again() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let place = ask(&first.address, "/")["environ"]["TMPDIR"].as_str().unwrap().to_owned();
    fs::write(Path::new(&place).join("unwell"), "").unwrap();
    let failing = platform.replica(ReplicaState::Failing, 1).await;
    assert!(
        failing
            .log
            .ends_with("stopped answering `GET /healthz`: the answer is 500 Internal Server Error")
    );
    platform.replica(ReplicaState::Healthy, 2).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_replica_is_asked_as_a_visitor_of_its_instance_would_ask() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let url = ("PUBLIC_URL".to_owned(), Secret::new("https://shop.example:8443"));
    platform.change(|state| state.variables.extend([url]));
    want(&platform, &Package::new("picky"), 1);
    let agent = Agent::start(&platform, folder.path());
    platform.replica(ReplicaState::Healthy, 1).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_replica_that_never_starts_says_why() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("crash"), 1);
    let agent = Agent::start(&platform, folder.path());
    let failing = platform.replica(ReplicaState::CrashLoop, 3).await;
    assert_eq!(failing.log, "starting in mode crash\nended with status 7");
    agent.stop().await;
}

#[tokio::test]
async fn why_a_replica_ended_is_told_after_it_was_started_again() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    ask(&first.address, "/die");
    let second = platform.replica(ReplicaState::Healthy, 2).await;
    let (former, latter) = second.log.split_once("\n--- started again ---\n").unwrap();
    assert_eq!(former, "starting in mode serve\nended with status 3");
    assert_eq!(latter, "starting in mode serve\n");
    let replica = folder.path().join("replicas").join(format!("{}.1", second.replica));
    let logs = ["1", "2"].map(|start| replica.join(start).join("output.log"));
    assert!(logs.iter().all(|log| fs::read_to_string(log).unwrap() == latter));
    agent.stop().await;
    assert!(!replica.exists());
}

#[tokio::test]
async fn who_never_answers_is_tried_ever_less_often() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("silent"), 1);
    let again = Duration::from_millis(100);
    let start = Duration::from_millis(50);
    let pace = Pace { start, again, again_at_most: Duration::from_secs(9), ..PACE };
    let begun = std::time::Instant::now();
    let agent = Agent::run_at(config(&platform, folder.path(), Arc::new(SystemClock)), pace);
    platform.replica(ReplicaState::Starting, 6).await;
    assert!(begun.elapsed() > again * 31, "pauses of 1, 2, 4, 8 and 16 times the first");
    agent.stop().await;
}

#[tokio::test]
async fn a_replica_that_listens_elsewhere_is_told_where_it_should() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("astray"), 1);
    let pace = Pace { start: Duration::from_secs(2), ..PACE };
    let agent = Agent::run_at(config(&platform, folder.path(), Arc::new(SystemClock)), pace);
    let failing = platform.replica(ReplicaState::Failing, 1).await;
    let should = format!(" and should at {}, as `HOST` and `PORT` say", failing.address);
    let (_, found) = failing.log.rsplit_once("; it listens at 127.0.0.1:").unwrap();
    assert!(found.ends_with(&should), "{}", failing.log);
    agent.stop().await;
}

#[tokio::test]
async fn a_replica_that_takes_too_much_memory_is_ended() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let address = healthy.address.clone();
    let eating = tokio::task::spawn_blocking(move || ask(&address, "/eat"));
    let failing = platform.replica(ReplicaState::Failing, 1).await;
    assert!(failing.log.contains("MiB of memory and may use 128: take a larger size"));
    eating.await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn what_is_not_wanted_is_stopped_even_if_it_will_not() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("stubborn"), 1);
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let pid = number(&ask(&healthy.address, "/")["pid"]);
    platform.want(nothing);
    platform
        .until("a report without replicas", |state| {
            state.nodes.values().all(|node| node.replicas.is_empty()).then_some(())
        })
        .await;
    eventually("the end of the replica", || !runs(pid)).await;
    agent.stop().await;
}

/// A replica at another address than the first, once it is healthy.
async fn healthy_beside(platform: &Platform, first: &ReplicaReport) -> ReplicaReport {
    let second = |state: &super::platform::State| {
        let mut replicas = state.nodes.values().flat_map(|node| &node.replicas);
        let other = |it: &&ReplicaReport| it.address != first.address;
        replicas.find(|it| it.state == ReplicaState::Healthy && other(it)).cloned()
    };
    platform.until("the second", second).await
}

#[tokio::test]
async fn another_generation_is_another_process() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let pid = number(&ask(&first.address, "/")["pid"]);
    let word = ("SETUP_WORD".to_owned(), Secret::new("new"));
    platform.change(|state| state.variables.extend([word]));
    want(&platform, &Package::new("serve"), 2);
    eventually("the end of the first", || !runs(pid)).await;
    let second = healthy_beside(&platform, &first).await;
    assert_eq!(ask(&second.address, "/")["environ"]["SETUP_WORD"], "new");
    agent.stop().await;
}

/// How long the first of two generations lives after the second is healthy, if `is_connected` and the
/// manifest says this; with whoever is connected leaving after a while.
async fn replaced(run: &'static str, is_connected: bool) -> Duration {
    let (platform, folder) = (Platform::new(), Folder::new());
    let package = Package { run, ..Package::new("serve") };
    want(&platform, &package, 1);
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let pid = number(&ask(&first.address, "/")["pid"]);
    let visitor = is_connected.then(|| TcpStream::connect(&first.address).unwrap());
    want(&platform, &package, 2);
    let other = healthy_beside(&platform, &first).await;
    let since = std::time::Instant::now();
    assert!(!ask(&other.address, "/").is_null());
    if let Some(visitor) = visitor {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(
            runs(pid),
            run.is_empty(),
            "it goes on for whoever is connected, as long as is said"
        );
        drop(visitor);
    }
    eventually("it has ended", || !runs(pid)).await;
    agent.stop().await;
    since.elapsed()
}

#[tokio::test]
async fn who_is_connected_to_what_is_replaced_goes_on_for_as_long_as_is_said() {
    let (alone, connected, short) =
        tokio::join!(replaced("", false), replaced("", true), replaced("drain = \"1s\"", true),);
    assert!(alone < connected, "{alone:?} {connected:?} {short:?}");
}

#[tokio::test]
async fn what_nothing_takes_over_from_is_stopped_under_those_who_are_connected() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let pid = number(&ask(&first.address, "/")["pid"]);
    let _visitor = TcpStream::connect(&first.address).unwrap();
    platform.want(nothing);
    let since = std::time::Instant::now();
    eventually("it has ended", || !runs(pid)).await;
    assert!(since.elapsed() < Duration::from_secs(20), "nobody is waited for");
    agent.stop().await;
}

#[tokio::test]
async fn another_generation_takes_over_without_a_gap() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("late").publish(&platform);
    let wanted = (release.clone(), replica(&release, 1));
    platform.want(move |_| desired(vec![wanted.0.clone()], vec![wanted.1.clone()]));
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let gaps = Arc::new(AtomicU32::new(0));
    let (counted, wanted) = (Arc::clone(&gaps), replica(&release, 2));
    platform.want(move |heartbeat| {
        let healthy = |r: &api::releases::ReplicaReport| {
            r.state == ReplicaState::Healthy && TcpStream::connect(&r.address).is_ok()
        };
        counted.fetch_add(u32::from(!heartbeat.replicas.iter().any(healthy)), Ordering::Relaxed);
        desired(vec![release.clone()], vec![wanted.clone()])
    });
    let second = platform
        .until("the second", |state| {
            let mut replicas = state.nodes.values().flat_map(|node| &node.replicas);
            replicas.find(|r| r.address != first.address).cloned()
        })
        .await;
    assert_eq!((second.state, second.replica), (ReplicaState::Healthy, first.replica));
    assert_eq!(gaps.load(Ordering::Relaxed), 0, "somebody was not served");
    eventually("the end of the first", || TcpStream::connect(&first.address).is_err()).await;
    agent.stop().await;
}

#[tokio::test]
async fn what_was_healthy_last_runs_and_is_started_again_beside_a_release_that_is_not() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let [old, new] = ["serve", "crash"].map(|mode| Package::new(mode).publish(&platform));
    let replicas = vec![replica(&new, 1), replica(&old, 1)];
    let (releases, digest) = (vec![new, old.clone()], old.digest);
    platform.want(move |_| desired(releases.clone(), replicas.clone()));
    let healthy = |starts| {
        let digest = digest.clone();
        move |state: &super::platform::State| {
            let mut all = state.nodes.values().flat_map(|node| &node.replicas);
            let well = |r: &&api::releases::ReplicaReport| {
                r.state == ReplicaState::Healthy && r.digest == digest && r.starts >= starts
            };
            all.find(well).cloned()
        }
    };
    let agent = Agent::start(&platform, folder.path());
    let first = platform.until("the old release", healthy(1)).await;
    ask(&first.address, "/die");
    platform.until("the old release after it ended", healthy(2)).await;
    agent.stop().await;
    platform.change(|state| state.nodes.clear());
    let agent = Agent::start(&platform, folder.path());
    platform.until("the old release under the next agent", healthy(1)).await;
    agent.stop().await;
}

#[tokio::test]
async fn what_runs_keeps_running_while_the_platform_is_away() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let pid = number(&ask(&first.address, "/")["pid"]);
    platform.change(|state| {
        state.away = true;
        state.nodes.clear();
    });
    let often = |state: &super::platform::State| (state.unanswered > 3).then_some(());
    platform.until("the agent asks in vain", often).await;
    assert_eq!(number(&ask(&first.address, "/")["pid"]), pid);
    platform.change(|state| state.away = false);
    let again = platform.replica(ReplicaState::Healthy, 1).await;
    assert_eq!(again.address, first.address);
    agent.stop().await;
}
