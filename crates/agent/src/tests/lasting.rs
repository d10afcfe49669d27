//! What outlives its agent: replicas and jobs go on, and the next agent goes on with them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use api::releases::{ReplicaReport, ReplicaState};
use rustix::process::{Pid, Signal, kill_process};
use types::{Secret, SystemClock};

use super::{
    Agent, Folder, config, eventually,
    packages::{Package, replica},
    platform::{Platform, State, desired},
    replicas::{ask, nothing, number, want},
    runs,
};
use crate::Config;

/// The folder of the only replica's only start.
fn start(folder: &Folder) -> PathBuf {
    let child = |path: &Path| fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    child(&child(&folder.path().join("replicas")))
}

/// The processes that a replica says it has.
fn processes(address: &str) -> [i32; 3] {
    let answer = ask(address, "/");
    ["pid", "child", "other"].map(|name| number(&answer[name]))
}

fn holder(start: &Path) -> Vec<String> {
    let text = fs::read_to_string(start.join("holder")).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

fn nobody_is_left(pids: &[i32]) -> bool {
    !pids.iter().any(|pid| runs(*pid))
}

/// Not a test of its own: the agent that the next test kills.
#[tokio::test]
#[ignore = "it runs until it is killed by `a_killed_agent_is_followed_by_one_that_goes_on`"]
async fn an_agent_to_be_killed() {
    let Ok(data) = std::env::var("AGENT_TO_BE_KILLED") else { return };
    let data = PathBuf::from(data);
    let platform = Platform::new();
    want(&platform, &Package::new("stray"), 1);
    let _agent = Agent::start(&platform, &data);
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    crate::folder::write_private(&data.join("address"), &healthy.address).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_agent_is_followed_by_one_that_goes_on() {
    let folder = Folder::new();
    let mut killed = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "tests::lasting::an_agent_to_be_killed"])
        .env("AGENT_TO_BE_KILLED", folder.path())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let address = folder.path().join("address");
    eventually("the replica of the agent to be killed", || address.exists()).await;
    killed.kill().await.unwrap();
    let address = fs::read_to_string(address).unwrap();
    let pids = processes(&address);
    // The platform is another one too, which knows the node once it joins.
    fs::remove_file(folder.path().join("node.id")).unwrap();
    // A number that was given to somebody else meanwhile: this process.
    let other = folder.path().join("replicas/replica_of_another.1/1");
    fs::create_dir_all(&other).unwrap();
    let me = format!("1 {} 1 {}\n", std::process::id(), crate::machine::boot());
    fs::write(other.join("holder"), me).unwrap();
    let platform = Platform::new();
    let first = Arc::new(Mutex::new(None::<Option<ReplicaReport>>));
    let (kept, release) = (Arc::clone(&first), Package::new("stray").publish(&platform));
    let wanted = replica(&release, 1);
    platform.want(move |heartbeat| {
        kept.lock().unwrap().get_or_insert_with(|| heartbeat.replicas.first().cloned());
        desired(vec![release.clone()], vec![wanted.clone()])
    });
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let told_first = first.lock().unwrap().clone().flatten().unwrap();
    assert_eq!(told_first.state, ReplicaState::Healthy, "nobody is told that it were not");
    assert_eq!((&told_first.address, &healthy.address), (&address, &address));
    assert_eq!((healthy.starts, processes(&address)), (1, pids));
    assert!(healthy.log.contains("starting in mode stray"));
    // It is as much the agent's as if it had started it.
    ask(&address, "/die");
    let second = platform.replica(ReplicaState::Healthy, 2).await;
    let former = "starting in mode stray\nended with status 3\n--- started again ---\n";
    assert!(second.log.starts_with(former), "{}", second.log);
    assert!(nobody_is_left(&pids));
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_that_leaves_lets_its_replicas_go_on() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package { tenancy: "shared", ..Package::new("stray") }, 1);
    let agent = Agent::leaving(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let (pids, token) = (processes(&first.address), start(&folder).join("token"));
    agent.stop().await;
    let told = platform.change(|state| state.nodes.values().next().unwrap().replicas.len());
    assert_eq!(told, 1, "it says no farewell");
    fs::write(&token, "of old").unwrap();
    platform.change(|state| state.nodes.clear());
    let agent = Agent::start(&platform, folder.path());
    let second = platform.replica(ReplicaState::Healthy, 1).await;
    assert_eq!((&second.address, processes(&second.address)), (&first.address, pids));
    let renewed = || fs::read_to_string(&token).unwrap().starts_with("echo-");
    eventually("its token to be renewed", renewed).await;
    agent.stop().await;
    assert!(nobody_is_left(&pids));
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_ended_by_the_next_agent() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("stray"), 1);
    let agent = Agent::leaving(&platform, folder.path());
    let pids = processes(&platform.replica(ReplicaState::Healthy, 1).await.address);
    agent.stop().await;
    assert!(pids.iter().all(|pid| runs(*pid)));
    platform.want(nothing);
    let agent = Agent::leaving(&platform, folder.path());
    eventually("the end of what is not wanted", || nobody_is_left(&pids)).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_replica_that_ended_without_an_agent_says_so_to_the_next() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let word = ("SETUP_SECRET_WORD".to_owned(), Secret::new("in mode serve"));
    platform.change(|state| state.variables.extend([word]));
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::leaving(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    agent.stop().await;
    ask(&first.address, "/die");
    let exit = start(&folder).join("exit");
    let ended = || fs::read_to_string(&exit).unwrap().contains("status");
    eventually("its end to be written down", ended).await;
    platform.change(|state| state.nodes.clear());
    let agent = Agent::start(&platform, folder.path());
    let second = platform.replica(ReplicaState::Healthy, 2).await;
    let told = "starting [secret]\nended with status 3\n--- started again ---\nstarting [secret]\n";
    assert_eq!(second.log, told);
    assert_ne!(second.address, first.address, "its port rests");
    agent.stop().await;
}

#[tokio::test]
async fn a_holders_death_is_its_commands() {
    for away in [false, true] {
        let (platform, folder) = (Platform::new(), Folder::new());
        want(&platform, &Package::new("stray"), 1);
        let agent = Agent::leaving(&platform, folder.path());
        let first = platform.replica(ReplicaState::Healthy, 1).await;
        let [pid, child, _] = processes(&first.address);
        let holder: i32 = holder(&start(&folder))[1].parse().unwrap();
        let kill = || kill_process(Pid::from_raw(holder).unwrap(), Signal::KILL).unwrap();
        let agent = if away {
            agent.stop().await;
            kill();
            eventually("the end of the command", || !runs(pid)).await;
            Agent::leaving(&platform, folder.path())
        } else {
            kill();
            agent
        };
        eventually("the end of what is known by its mark", || !runs(child)).await;
        let second = platform.replica(ReplicaState::Healthy, 2).await;
        assert!(second.log.contains("was ended, since its holder was killed"), "{}", second.log);
        platform.want(nothing);
        agent.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_identified_is_left_alone() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::leaving(&platform, folder.path());
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let pids = processes(&first.address);
    agent.stop().await;
    let file = start(&folder).join("holder");
    let [_, rest @ ..] = &holder(&start(&folder))[..] else { panic!("it says who it is") };
    fs::write(&file, format!("2 {}\n", rest.join(" "))).unwrap();
    platform.change(|state| state.nodes.clear());
    let agent = Agent::start(&platform, folder.path());
    let second = platform.replica(ReplicaState::Healthy, 2).await;
    assert_ne!(second.address, first.address);
    agent.stop().await;
    assert_eq!(processes(&first.address), pids, "it goes on");
    assert!(file.exists(), "whoever can may find it");
    // Of a former boot nothing goes on, whoever has the number now.
    fs::write(&file, format!("1 {} {} another-boot\n", rest[0], rest[1])).unwrap();
    platform.want(nothing);
    let agent = Agent::start(&platform, folder.path());
    eventually("what is of a former boot to be forgotten", || !file.exists()).await;
    agent.stop().await;
    assert_eq!(processes(&first.address), pids);
}

#[tokio::test]
async fn a_node_that_was_removed_ends_what_it_runs() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("stray"), 1);
    let agent = Agent::leaving(&platform, folder.path());
    let pids = processes(&platform.replica(ReplicaState::Healthy, 1).await.address);
    agent.stop().await;
    platform.forget_nodes();
    let agent = Agent::leaving(&platform, folder.path());
    eventually("the end of what runs", || nobody_is_left(&pids)).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_node_that_was_removed_leaves_the_platform_alone() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("stray"), 1);
    let agent = Agent::start(&platform, folder.path());
    let pids = processes(&platform.replica(ReplicaState::Healthy, 1).await.address);
    platform.forget_nodes();
    eventually("the end of what runs", || nobody_is_left(&pids)).await;
    let asked = platform.state.lock().unwrap().strangers;
    // As often as it would ask for jobs, for its share and for tokens otherwise.
    tokio::time::sleep(3 * super::PACE.removed).await;
    let since = platform.state.lock().unwrap().strangers - asked;
    assert!((1..=4).contains(&since), "{since} times");
    agent.stop().await;
}

#[tokio::test]
async fn visitors_do_not_notice_that_agents_come_and_go() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package::new("serve"), 1);
    let mut agent = Agent::leaving(&platform, folder.path());
    let address = platform.replica(ReplicaState::Healthy, 1).await.address;
    let unwell = Arc::new(AtomicU32::new(0));
    let (counted, release) = (Arc::clone(&unwell), Package::new("serve").publish(&platform));
    let (wanted, there) = (replica(&release, 1), address.clone());
    platform.want(move |heartbeat| {
        let well = |r: &ReplicaReport| r.state == ReplicaState::Healthy && r.address == there;
        counted.fetch_add(u32::from(!heartbeat.replicas.iter().any(well)), Ordering::Relaxed);
        desired(vec![release.clone()], vec![wanted.clone()])
    });
    for _ in 0..5 {
        agent.stop().await;
        assert!(ask(&address, "/")["pid"].is_i64());
        platform.change(|state| state.nodes.clear());
        agent = Agent::leaving(&platform, folder.path());
        let told = |state: &State| state.nodes.values().next().map(|node| node.replicas.len());
        assert_eq!(platform.until("a report", told).await, 1);
        assert!(ask(&address, "/")["pid"].is_i64());
    }
    agent.stop().await;
    assert_eq!(unwell.load(Ordering::Relaxed), 0, "no report says that it is not well");
}

#[tokio::test]
async fn the_ports_of_what_goes_on_are_not_given_away() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("late").publish(&platform);
    let wanted = (release.clone(), replica(&release, 1));
    platform.want(move |_| desired(vec![wanted.0.clone()], vec![wanted.1.clone()]));
    let with = |ports| Config {
        ports,
        ends_all: false,
        ..config(&platform, folder.path(), Arc::new(SystemClock))
    };
    let agent = Agent::run(with(20_000..=29_999));
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let port: u16 = first.address.rsplit_once(':').unwrap().1.parse().unwrap();
    agent.stop().await;
    // There is no other port: a second replica must wait.
    let agent = Agent::run(with(port..=port));
    let other = api::releases::DesiredReplica {
        replica: types::ReplicaId::named(&["other"]),
        instance: Some(types::InstanceId::named(&["other"])),
        ..replica(&release, 1)
    };
    platform
        .want(move |_| desired(vec![release.clone()], vec![replica(&release, 1), other.clone()]));
    let failing = platform.replica(ReplicaState::Failing, 0).await;
    assert!(failing.log.contains("no port can be had"), "{}", failing.log);
    assert!(ask(&first.address, "/")["pid"].is_i64());
    platform.want(nothing);
    agent.stop().await;
}
