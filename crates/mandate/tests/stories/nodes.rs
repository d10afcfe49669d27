//! Three machines: agents come and go, one is emptied and one is lost, while visitors come.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use api::{configurator::Instance, identity::JoinToken, releases::Node};
use tokio::process::{Child, Command};
use types::{InstanceId, NodeId, Page};

use crate::world::{
    Browser, Person, Signal, World, alive, eventually, processes_of, signal, until, variable,
};

/// How the platform is started: a machine that is silent for so long has lost what can move.
pub(crate) const QUICKLY: &[&str] = &["--move-after", "20s"];

/// A machine of its own, as far as one machine can be two.
struct Machine {
    name: &'static str,
    data: PathBuf,
    url: String,
    address: &'static str,
    agent: Option<Child>,
}

impl Machine {
    async fn joins(
        world: &World,
        operator: &Person,
        name: &'static str,
        address: &'static str,
    ) -> Self {
        let token: JoinToken = operator.does(&["node", "token"]).await;
        let (data, agent) = (world.folder().join(name), None);
        let mut machine = Self { name, data, url: world.url(), address, agent };
        machine.starts(&["--token", token.token.reveal()]);
        machine.is_heard_of(operator).await;
        machine
    }

    fn starts(&mut self, more: &[&str]) {
        let log = self.data.with_extension("log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
        command.args(["agent", "--join", &self.url, "--name", self.name]);
        command.args(["--listen-ip", self.address]).arg("--data").arg(&self.data).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.process_group(0).kill_on_drop(true);
        self.agent = Some(command.spawn().unwrap());
    }

    async fn ends(&mut self, how: Signal) {
        let mut agent = self.agent.take().unwrap();
        signal(agent.id().unwrap(), how);
        agent.wait().await.unwrap();
    }

    /// The machine loses its power.
    async fn is_lost(&mut self) {
        self.ends(Signal::KILL).await;
        let mut left = processes_of(&self.data);
        while !left.is_empty() {
            for pid in &left {
                signal(*pid, Signal::KILL);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = processes_of(&self.data).into_iter().filter(|pid| alive(*pid)).collect();
        }
    }

    async fn is_heard_of(&self, operator: &Person) -> Node {
        let is_it = |node: &Option<Node>| node.as_ref().is_some_and(|node| node.alive);
        let found = eventually("it is heard of", || node(operator, self.name), is_it).await;
        found.unwrap()
    }
}

async fn node(operator: &Person, name: &str) -> Option<Node> {
    let nodes: Page<Node> = operator.does(&["node", "list"]).await;
    nodes.items.into_iter().find(|node| node.name.as_str() == name)
}

/// Whoever asks every host again and again, and remembers what was not answered well.
struct Visitors {
    failures: Arc<Mutex<BTreeMap<String, Vec<u16>>>>,
    asked: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<usize>,
}

impl Visitors {
    fn come(world: &World, hosts: &[String]) -> Self {
        let failures: Arc<Mutex<BTreeMap<String, Vec<u16>>>> = Arc::default();
        let asked = Arc::new(AtomicBool::new(true));
        let browsers: Vec<(String, Browser)> =
            hosts.iter().map(|host| (host.clone(), world.browser(host))).collect();
        let (told, goes_on) = (Arc::clone(&failures), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut count = 0;
            while goes_on.load(Ordering::Relaxed) {
                for (host, browser) in &browsers {
                    let answer = browser.try_send(http::Method::GET, "/", None).await;
                    count += 1;
                    let status = answer.map_or(0, |answer| answer.status);
                    if status != 200 {
                        told.lock().unwrap().entry(host.clone()).or_default().push(status);
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            count
        });
        Self { failures, asked, task }
    }

    /// Nobody was turned away.
    async fn were_all_answered(self) {
        self.asked.store(false, Ordering::Relaxed);
        let count = self.task.await.unwrap();
        let failures = self.failures.lock().unwrap();
        assert!(count > 50 && failures.is_empty(), "of {count}: {failures:?}");
    }
}

/// Takes instances that set themselves up, and waits until they answer.
async fn take(person: &Person, world: &World, service: &str, count: usize) -> Vec<Instance> {
    let mut instances = Vec::new();
    for number in 0..count {
        let host = format!("{service}-{number}.localhost");
        let order = ["order", "place", service, "--size", "small", "--host", &host, "--wait"];
        instances.push(person.does::<Instance>(&order).await);
    }
    for instance in &instances {
        let browser = world.browser(instance.host.as_str());
        until("it answers", async || browser.get("/").await.status == 200).await;
    }
    instances
}

/// The processes of each instance, holders left aside, wherever they are.
fn processes(world: &World, instances: &[Instance]) -> BTreeMap<InstanceId, BTreeSet<u32>> {
    let all: Vec<(u32, String)> = processes_of(world.folder())
        .into_iter()
        .filter(|pid| variable(*pid, "PORT").is_some())
        .filter_map(|pid| Some((pid, variable(pid, "PUBLIC_URL")?)))
        .collect();
    let of = |instance: &Instance| {
        let own = all.iter().filter(|(_, url)| *url == instance.url).map(|(pid, _)| *pid);
        (instance.instance, own.collect())
    };
    instances.iter().map(of).collect()
}

/// On which node each instance's replica is said to be.
async fn places(operator: &Person) -> BTreeMap<InstanceId, NodeId> {
    let nodes: Page<Node> = operator.does(&["node", "list"]).await;
    let alive = nodes.items.into_iter().filter(|node| node.alive);
    let on = alive.flat_map(|node| {
        let replicas = node.replicas.into_iter();
        replicas.filter_map(move |replica| Some((replica.instance?, node.node)))
    });
    on.collect()
}

async fn each_runs_once(world: &World, instances: &[Instance]) {
    until("each instance runs exactly once", async || {
        processes(world, instances).values().all(|processes| processes.len() == 1)
    })
    .await;
}

pub(crate) async fn story(world: &World) {
    let operator = world.operator().await;
    for service in ["plain", "keeper"] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories/nodes/");
        let _: serde_json::Value =
            operator.does(&["service", "publish", &format!("{folder}{service}")]).await;
    }
    let mut second = Machine::joins(world, &operator, "second", "127.0.0.2").await;
    let mut third = Machine::joins(world, &operator, "third", "127.0.0.3").await;
    let ada = world.registers("ada").await;
    let plain = take(&ada, world, "plain", 6).await;
    let keepers = take(&ada, world, "keeper", 3).await;
    let all: Vec<Instance> = plain.iter().chain(&keepers).cloned().collect();
    each_runs_once(world, &all).await;
    let hosts = |of: &[Instance]| of.iter().map(|it| it.host.to_string()).collect::<Vec<_>>();
    let of = |node: NodeId, places: &BTreeMap<InstanceId, NodeId>| {
        let there = |it: &&Instance| places.get(&it.instance) == Some(&node);
        (plain.iter().filter(there).count(), keepers.iter().filter(there).count())
    };
    let spread = places(&operator).await;
    for name in ["second", "third"] {
        let there = node(&operator, name).await.unwrap().node;
        assert_eq!(of(there, &spread), (2, 1), "{name} has its share");
    }

    // An agent is away for so long that its node is silent, and its replicas answer.
    let before = processes(world, &all);
    let visitors = Visitors::come(world, &hosts(&all));
    second.ends(Signal::TERM).await;
    let is_silent = |node: &Option<Node>| node.as_ref().is_some_and(|node| !node.alive);
    eventually("it is silent", || node(&operator, "second"), is_silent).await;
    second.starts(&[]);
    second.is_heard_of(&operator).await;
    third.ends(Signal::KILL).await;
    third.starts(&[]);
    third.is_heard_of(&operator).await;
    visitors.were_all_answered().await;
    assert_eq!(processes(world, &all), before, "nothing was started again");

    // A node is emptied: each runs elsewhere before it ends there, and what cannot move is named.
    let visitors = Visitors::come(world, &hosts(&all));
    let drained: Node = operator.does(&["node", "drain", "second", "--within", "80s"]).await;
    let drain = drained.drain.unwrap();
    assert_eq!((drain.left, drain.stays.len()), (0, 1), "{:?}", drain.stays);
    each_runs_once(world, &all).await;
    visitors.were_all_answered().await;
    assert_eq!(of(drained.node, &places(&operator).await), (0, 1));
    let refused = operator.runs(&["node", "remove", "second"]).await.refused(5);
    assert!(refused.contains("1 instance"), "{refused}");
    let _: Node = operator.does(&["node", "drain", "second", "--undo"]).await;

    // A node is lost: what can move does, and what cannot waits for it.
    let lost = node(&operator, "third").await.unwrap().node;
    let there = places(&operator).await;
    let stays: Vec<&Instance> =
        keepers.iter().filter(|it| there.get(&it.instance) == Some(&lost)).collect();
    assert_eq!(stays.len(), 1);
    third.is_lost().await;
    for instance in &plain {
        let browser = world.browser(instance.host.as_str());
        until("it answers from elsewhere", async || browser.get("/").await.status == 200).await;
    }
    let closed = world.browser(stays[0].host.as_str());
    assert_eq!(closed.get("/").await.status, 503, "it never starts empty elsewhere");
    let host = stays[0].host.as_str();
    let said = ada.runs(&["instance", "show", host]).await.good();
    assert!(said.contains("`third`") && said.contains("its data is there"), "{said}");
    // It is back, with what has its data there, and runs nothing that has moved away.
    third.starts(&[]);
    until("it answers again", async || closed.get("/").await.status == 200).await;
    each_runs_once(world, &all).await;
    assert_eq!(of(lost, &places(&operator).await), (0, 1));
    // What their agents would leave ends with the story.
    third.is_lost().await;
    second.is_lost().await;
}
