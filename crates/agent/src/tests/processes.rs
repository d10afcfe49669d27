//! The processes of a release beside the one that answers requests.

use api::releases::{DesiredReplica, LogPart, LogWish, ReplicaReport, ReplicaState};
use types::{ReplicaId, Secret};

use super::{
    Agent, Folder,
    packages::{Package, replica},
    platform::{Platform, State, desired},
    replicas::{ask, number, want},
    runs,
};

const WORKERS: &str = "\n[processes.worker]\ncommand = [\"./serve\", \"silent\"]\nreplicas = 2\n\
    [processes.broken]\ncommand = [\"./serve\", \"crash\"]\n";

/// Wants all that a release runs.
pub(super) fn want_all(platform: &Platform, package: &Package) {
    let release = package.publish(platform);
    let mut replicas = Vec::new();
    for (name, process) in release.manifest.processes() {
        replicas.extend((0..process.replicas).map(|index| DesiredReplica {
            replica: ReplicaId::named(&[name, &index.to_string()]),
            process: name.to_owned(),
            index,
            ..replica(&release, 1)
        }));
    }
    platform.want(move |_| desired(vec![release.clone()], replicas.clone()));
}

pub(super) fn all_of<'s>(
    state: &'s State,
    process: &'s str,
) -> impl Iterator<Item = &'s ReplicaReport> {
    let all = state.nodes.values().flat_map(|node| &node.replicas);
    all.filter(move |replica| replica.process == process)
}

#[tokio::test]
async fn all_processes_of_a_release_run_and_only_web_listens() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let package = Package { more: WORKERS, ..Package::new("serve") };
    want_all(&platform, &package);
    let agent = Agent::start(&platform, folder.path());
    let healthy = |state: &State, process| {
        let all = all_of(state, process).filter(|it| it.state == ReplicaState::Healthy);
        // What it prints is told with a later heartbeat.
        all.filter(|it| it.log.ends_with('\n')).cloned().collect::<Vec<_>>()
    };
    let (web, workers) = platform
        .until("all of them", |state| {
            let (web, workers) = (healthy(state, "web"), healthy(state, "worker"));
            (web.len() == 1 && workers.len() == 2).then_some((web, workers))
        })
        .await;
    let pid = number(&ask(&web[0].address, "/")["pid"]);
    for worker in &workers {
        assert_eq!(worker.address, "", "nobody is sent there");
        assert!(worker.log.starts_with("starting in mode silent\n"), "{}", worker.log);
        assert!(!worker.log.contains("True"), "it has no port");
    }
    let failing = platform.until("one that ends at once", |state| {
        all_of(state, "broken").find(|it| it.state.has_failed()).cloned()
    });
    assert!(failing.await.log.ends_with("ended with status 7"), "it never lasted");
    agent.stop().await;
    assert!(!runs(pid));
}

#[tokio::test]
async fn what_has_lasted_under_one_agent_is_well_under_the_next() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let worker = "\n[processes.worker]\ncommand = [\"./serve\", \"silent\"]\n";
    want_all(&platform, &Package { more: worker, ..Package::new("serve") });
    let well = |state: &State| {
        let all = all_of(state, "worker");
        all.filter(|it| it.state == ReplicaState::Healthy).map(|it| it.starts).next()
    };
    let agent = Agent::leaving(&platform, folder.path());
    platform.until("a worker", well).await;
    agent.stop().await;
    platform.change(|state| state.nodes.clear());
    let agent = Agent::start(&platform, folder.path());
    let starts = platform.until("the same worker", |state| {
        // Nobody is told of it before it is known how it is.
        assert!(all_of(state, "worker").all(|it| it.state == ReplicaState::Healthy));
        well(state)
    });
    assert_eq!(starts.await, 1);
    agent.stop().await;
}

#[tokio::test]
async fn what_a_process_prints_is_read_on_without_secrets() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let word = ("SETUP_SECRET_WORD".to_owned(), Secret::new("sesame-open"));
    platform.change(|state| state.variables.extend([word]));
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let read = async |after: Option<&LogPart>, process: Option<&str>| {
        let wish = LogWish {
            wish: 7,
            service: "echo".parse().unwrap(),
            instance: healthy.instance,
            process: process.map(str::to_owned),
            lines: 1,
            after: after.map(|part| (part.replica, part.place)).into_iter().collect(),
        };
        platform.change(|state| {
            state.told.clear();
            state.wishes.push(wish);
        });
        platform.until("an answer", |state| state.told.first().cloned()).await
    };
    let first = read(None, None).await;
    assert_eq!((first.process.as_str(), first.index, first.replica), ("web", 0, healthy.replica));
    assert_eq!(first.text, "starting in mode serve\n");
    assert_eq!(read(Some(&first), Some("web")).await.text, "");
    ask(&healthy.address, "/say/print('1%5Cn2%20sesame-open',flush=True)");
    let second = read(Some(&first), None).await;
    assert_eq!(second.text, "1\n2 [secret]\n");
    assert_eq!(read(None, None).await.text, "2 [secret]\n", "the last line alone");
    // Another start is read from its beginning.
    ask(&healthy.address, "/die");
    platform.replica(ReplicaState::Healthy, 2).await;
    let third = read(Some(&second), None).await;
    assert_eq!((third.text.as_str(), third.place.start), ("starting in mode serve\n", 2));
    agent.stop().await;
}
