//! Ports: whatever listens where, a replica is healthy only where its own processes answer.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::Arc,
};

use api::releases::{DesiredReplica, ReplicaReport, ReplicaState};
use types::{InstanceId, ReplicaId, SystemClock};

use super::{
    Agent, Folder, config,
    packages::{Package, replica},
    platform::{Platform, State, desired},
    replicas::ask,
};

/// The instances of each of two platforms that share a machine.
const INSTANCES: usize = 6;
const EIGHTY: std::ops::RangeInclusive<u16> = 30_000..=30_079;

fn reports(state: &State) -> impl Iterator<Item = &ReplicaReport> {
    state.nodes.values().flat_map(|node| &node.replicas)
}

#[tokio::test]
async fn who_took_the_port_first_does_not_answer_for_the_replica() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("late").publish(&platform);
    let wanted = replica(&release, 1);
    platform.want(move |_| desired(vec![release.clone()], vec![wanted.clone()]));
    let agent = Agent::start(&platform, folder.path());
    let starting = platform.replica(ReplicaState::Starting, 1).await;
    let thief = TcpListener::bind(&starting.address).unwrap();
    std::thread::spawn(move || {
        for stream in thief.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nwelcome");
        }
    });
    let healthy = platform
        .until("a healthy replica", |state| {
            reports(state).find(|report| report.state == ReplicaState::Healthy).cloned()
        })
        .await;
    assert_ne!(healthy.address, starting.address, "another process answers there");
    assert!(healthy.starts > 1);
    agent.stop().await;
}

/// Not a test of its own: what the next one does in a network of its own.
#[tokio::test]
#[ignore = "it is run by `eighty_ports_are_shared_without_a_mistake`"]
async fn two_platforms_with_eighty_ports() {
    if std::env::var("EIGHTY_PORTS").is_err() {
        return;
    }
    let machine = [(Platform::new(), Folder::new()), (Platform::new(), Folder::new())];
    for (platform, _) in &machine {
        let release = Package::new("serve").publish(platform);
        let replica = |place: usize| DesiredReplica {
            replica: ReplicaId::named(&[&place.to_string()]),
            instance: Some(InstanceId::named(&[&place.to_string()])),
            ..replica(&release, 1)
        };
        let replicas: Vec<DesiredReplica> = (0..INSTANCES).map(replica).collect();
        platform.want(move |_| desired(vec![release.clone()], replicas.clone()));
    }
    let mut before = BTreeSet::new();
    for _ in 0..2 {
        let start = |(platform, folder): &(Arc<Platform>, Folder)| {
            let mut config = config(platform, folder.path(), Arc::new(SystemClock));
            config.ports = EIGHTY;
            Agent::run(config)
        };
        let agents: Vec<Agent> = machine.iter().map(start).collect();
        let mut addresses = BTreeSet::new();
        for (platform, folder) in &machine {
            let healthy = |state: &State| {
                let all = reports(state).filter(|r| r.state == ReplicaState::Healthy);
                let all: Vec<ReplicaReport> = all.cloned().collect();
                (all.len() == INSTANCES).then_some(all)
            };
            for report in platform.until("all to be healthy", healthy).await {
                let own = folder.path().join("replicas").join(report.replica.to_string());
                let answer = ask(&report.address, "/");
                let place = answer["environ"]["TMPDIR"].as_str().unwrap().to_owned();
                assert!(place.starts_with(own.to_str().unwrap()), "{place} answers for {own:?}");
                assert!(addresses.insert(report.address.clone()), "{} twice", report.address);
            }
        }
        assert!(addresses.is_disjoint(&before), "a gateway may still take them for others'");
        before.extend(addresses);
        for agent in agents {
            agent.stop().await;
        }
        for (platform, _) in &machine {
            platform.change(|state| state.nodes.clear());
        }
    }
}

/// Where the machine lets nobody make a network, the rules' own tests must do.
#[tokio::test]
async fn eighty_ports_are_shared_without_a_mistake() {
    let ready = "ip link set lo up && echo 30000 30079 > /proc/sys/net/ipv4/ip_local_port_range";
    let inside = |script: &str| {
        let mut command = tokio::process::Command::new("unshare");
        command.args(["--net", "--map-root-user", "sh", "-ec", script, "sh"]);
        command.arg(std::env::current_exe().unwrap()).kill_on_drop(true);
        command
    };
    match inside(ready).output().await {
        Ok(tried) if tried.status.success() => {}
        refused => return eprintln!("no network can be made here: {refused:?}"),
    }
    let name = "tests::ports::two_platforms_with_eighty_ports";
    let script = format!("{ready}; exec \"$1\" --ignored --exact {name}");
    let done = inside(&script).env("EIGHTY_PORTS", "yes").output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}
