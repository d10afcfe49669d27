//! Fifty nodes in one test: the loop and the plan are the real ones, the machines are simulated.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use api::{
    Client,
    releases::{
        Desired, DesiredRelease, DesiredReplica, Heartbeat, ReleaseReport, ReleaseState,
        ReplicaReport, ReplicaState,
    },
};
use tokio::{sync::watch, task::JoinSet};
use types::{Digest, InstanceId, Name, ReplicaId, SystemClock, Timestamp};

use super::{
    Folder, PACE, config,
    packages::Package,
    platform::{Platform, Shared, desired},
};
use crate::{
    Node, folder,
    hold::Surveys,
    host::{Changes, Host, Observed, ObservedRelease, ObservedReplica, Step},
    join, node,
    replicas::Ports,
    users::Users,
};

const NODES: usize = 50;
const INSTANCES: usize = 200;

/// A machine on which everything takes a moment and goes wrong at first.
pub(super) struct Simulated {
    board: Arc<Mutex<Observed>>,
    changes: Changes,
    seen: watch::Receiver<u64>,
    luck: Arc<AtomicU32>,
}

impl Simulated {
    fn new(seed: u32) -> Self {
        let changes = Changes::default();
        let (heard, board) = (changes.listen(), Arc::default());
        Self { board, changes, seen: heard, luck: Arc::new(AtomicU32::new(seed)) }
    }

    /// After a moment, changes what is there.
    fn later(&self, change: impl FnOnce(&mut Observed) + Send + 'static) {
        let (board, changes) = (Arc::clone(&self.board), self.changes.clone());
        let moment = Duration::from_millis(u64::from(self.draw() % 20));
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            change(&mut board.lock().unwrap());
            changes.tell();
        });
    }

    fn draw(&self) -> u32 {
        let step = |seed: u32| Some(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        self.luck.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap() >> 16
    }

    fn install(&self, release: &DesiredRelease, engine: String) {
        let (digest, service) = (release.digest.clone(), release.service.clone());
        let fails = self.draw().is_multiple_of(3);
        let state = if fails { ReleaseState::Failed } else { ReleaseState::Fetching };
        let report = ReleaseReport { digest: digest.clone(), service, state, log: String::new() };
        let since = Timestamp::from_micros(self.draw().into());
        let observed = ObservedRelease { report, engine, since, in_use: false, shared: false };
        self.board.lock().unwrap().releases.push(observed);
        self.later(move |board| {
            let mut releases = board.releases.iter_mut();
            if let Some(release) = releases.find(|release| release.report.digest == digest) {
                release.report.state = ReleaseState::Ready;
            }
        });
    }

    fn start(&self, want: DesiredReplica) {
        let replica = want.replica;
        let report = ReplicaReport {
            replica,
            digest: want.digest,
            service: want.service,
            process: want.process.clone(),
            instance: want.instance,
            address: "127.0.0.1:1".to_owned(),
            state: ReplicaState::Starting,
            starts: 1,
            next_start: None,
            log: String::new(),
        };
        let observed = ObservedReplica { report, generation: want.generation, stopping: false };
        self.board.lock().unwrap().replicas.push(observed);
        self.later(move |board| {
            let mut replicas = board.replicas.iter_mut();
            if let Some(found) = replicas.find(|found| found.report.replica == replica) {
                found.report.state = ReplicaState::Healthy;
            }
        });
    }

    fn take_out(&self, replica: ReplicaId) {
        for found in &mut self.board.lock().unwrap().replicas {
            found.stopping |= found.report.replica == replica;
        }
        self.later(move |board| board.replicas.retain(|found| found.report.replica != replica));
    }
}

impl Host for Simulated {
    fn observe(&mut self) -> Observed {
        let revision = *self.seen.borrow_and_update();
        Observed { revision, ..self.board.lock().unwrap().clone() }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Install(release, engine) => self.install(&release, engine),
            Step::Remove(digest) => {
                let mut board = self.board.lock().unwrap();
                assert!(!board.replicas.iter().any(|r| r.report.digest == digest), "in use");
                board.releases.retain(|release| release.report.digest != digest);
            }
            Step::Promote(service, digest) => {
                drop(self.board.lock().unwrap().current.insert(service, digest));
            }
            Step::Start(replica) => self.start(replica),
            Step::Stop(replica, _) => self.take_out(replica),
        }
        self.changes.tell();
    }

    fn printed(&self) -> Vec<crate::logs::Printed> {
        Vec::new()
    }

    async fn changed(&mut self) {
        let _ = self.seen.changed().await;
    }

    async fn stop(self) {
        self.board.lock().unwrap().replicas.clear();
    }

    async fn leave(self) {}
}

/// What runs where: the shared service everywhere, each instance on one node, and what serves of an
/// older release until its successor is healthy.
#[derive(Clone)]
struct Fleet {
    releases: Vec<DesiredRelease>,
    old: Vec<DesiredRelease>,
}

impl Fleet {
    fn share(&self, heartbeat: &Heartbeat) -> Vec<DesiredReplica> {
        let place = heartbeat.name.as_str().trim_start_matches("node-").parse::<usize>().unwrap();
        let mut replicas = Vec::new();
        for release in &self.releases {
            let name: &Name = &release.service;
            let of = |instance: Option<usize>| {
                let named = instance.map(|n| InstanceId::named(&[&n.to_string()]));
                let parts =
                    [heartbeat.name.as_str(), &format!("{named:?}"), release.digest.as_str()];
                DesiredReplica {
                    replica: ReplicaId::named(&parts),
                    digest: release.digest.clone(),
                    service: name.clone(),
                    instance: named,
                    size: None,
                    generation: 1,
                    process: "web".to_owned(),
                    index: 0,
                }
            };
            match name.as_str() {
                "wide" => replicas.push(of(None)),
                _ => replicas
                    .extend((0..INSTANCES).filter(|n| n % NODES == place).map(|n| of(Some(n)))),
            }
        }
        replicas
    }

    fn desired(&self, heartbeat: &Heartbeat) -> Desired {
        let mut replicas = self.share(heartbeat);
        let healthy = |id: ReplicaId| {
            heartbeat.replicas.iter().any(|r| r.replica == id && r.state == ReplicaState::Healthy)
        };
        let kept = heartbeat.replicas.iter().filter(|old| {
            let same = |new: &&DesiredReplica| {
                (&new.service, new.instance) == (&old.service, old.instance)
            };
            replicas
                .iter()
                .find(same)
                .is_some_and(|new| new.replica != old.replica && !healthy(new.replica))
        });
        let kept: Vec<DesiredReplica> = kept
            .map(|old| DesiredReplica {
                replica: old.replica,
                digest: old.digest.clone(),
                service: old.service.clone(),
                instance: old.instance,
                size: None,
                generation: 1,
                process: "web".to_owned(),
                index: 0,
            })
            .collect();
        let mut releases = self.releases.clone();
        let needed = |digest: &Digest| kept.iter().any(|replica| replica.digest == *digest);
        releases.extend(self.old.iter().filter(|release| needed(&release.digest)).cloned());
        replicas.extend(kept);
        desired(releases, replicas)
    }

    fn is_reached(&self, heartbeats: &BTreeMap<types::NodeId, Heartbeat>) -> bool {
        heartbeats.len() == NODES
            && heartbeats.values().all(|node| {
                let wanted = self.share(node);
                let good = |want: &DesiredReplica| {
                    node.replicas
                        .iter()
                        .any(|r| r.replica == want.replica && r.state == ReplicaState::Healthy)
                };
                node.replicas.len() == wanted.len() && wanted.iter().all(good)
            })
    }
}

fn published(mode: &'static str) -> Vec<DesiredRelease> {
    ["wide", "own"].map(|name| Package { name, ..Package::new(mode) }.pack().0).into()
}

#[tokio::test]
async fn a_fleet_of_fifty_nodes_settles_and_rolls_without_a_gap() {
    let (platform, data) = (Platform::new(), Folder::new());
    let first = Fleet { releases: published("first"), old: vec![] };
    let wanted = first.clone();
    platform.want(move |heartbeat| wanted.desired(heartbeat));
    let (stop, stopping) = watch::channel(false);
    let mut nodes = JoinSet::new();
    for place in 0..NODES {
        let node = simulated_node(&platform, &data.path().join(place.to_string()), place).await;
        let host = Simulated::new(u32::try_from(place).unwrap());
        let stopping = stopping.clone();
        nodes.spawn(async move { node::keep(&node, host, stopping).await });
    }
    platform.until("the fleet settles", |s| first.is_reached(&s.nodes).then_some(())).await;

    let second = Fleet { releases: published("second"), old: first.releases.clone() };
    let wanted = second.clone();
    let gaps = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&gaps);
    platform.want(move |heartbeat| {
        for want in wanted.share(heartbeat) {
            let served = heartbeat.replicas.iter().any(|replica| {
                (&replica.service, replica.instance) == (&want.service, want.instance)
                    && replica.state == ReplicaState::Healthy
            });
            counted.fetch_add(u32::from(!served), Ordering::Relaxed);
        }
        wanted.desired(heartbeat)
    });
    platform.until("the fleet rolls", |s| second.is_reached(&s.nodes).then_some(())).await;
    assert_eq!(gaps.load(Ordering::Relaxed), 0, "somebody was not served during the rollout");

    platform.want(|_| desired(vec![], vec![]));
    stop.send_replace(true);
    while nodes.join_next().await.is_some() {}
    let left = platform
        .change(|state| state.nodes.values().map(|node| node.replicas.len()).sum::<usize>());
    assert_eq!(left, 0, "a node that goes says so");
}

async fn simulated_node(platform: &Arc<Platform>, path: &std::path::Path, place: usize) -> Node {
    let mut config = config(platform, path, Arc::new(SystemClock));
    config.name = format!("node-{place}").parse().unwrap();
    let folder = folder::Folder::open(path).unwrap();
    let signer = join::join(&config, &folder, PACE).await.unwrap();
    let ports = folder.ports();
    Node {
        id: signer.node(),
        name: config.name,
        client: Client::new(Arc::new(Shared(Arc::clone(platform))), Arc::new(signer)),
        clock: config.clock,
        folder,
        platform_url: config.platform_url,
        machine: config.machine,
        program: config.program,
        ends_all: config.ends_all,
        ports: Ports::open(config.listen_ip, config.ports, ports, PACE.rest).unwrap(),
        sharing: None,
        processes_max: 64,
        users: Users::open(path, true).unwrap(),
        tokens: crate::tokens::Tokens::default(),
        surveys: Surveys::default(),
        pace: PACE,
        changes: Changes::default(),
        removed: AtomicBool::default(),
    }
}
