//! Three machines: agents come and go, one is upgraded, `jobs` and `releases` are killed, releases go
//! out and come back, a machine is emptied and one is lost, while visitors come and jobs are asked for. `./x soak nodes` does so for
//! longer, in an order that chance chooses.

mod load;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use api::{
    configurator::Instance,
    identity::JoinToken,
    releases::{Node, Release, ReleaseState},
};
use tokio::process::{Child, Command};
use types::{InstanceId, NodeId, Page};

use crate::world::{
    Person, Signal, World, alive, eventually, processes_of, signal, until, variable,
};
use load::{Jobs, Visitors};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mandate");
/// How the platform is started: a machine that is silent for so long has lost what can move.
pub(crate) const QUICKLY: &[&str] = &["--move-after", "20s"];

/// A machine of its own, as far as one machine can be two.
struct Machine {
    name: &'static str,
    data: PathBuf,
    /// Its own name for the program.
    program: PathBuf,
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
        let (data, url, agent) = (world.folder().join(name), world.url(), None);
        let program = data.with_extension("mandate");
        fs::hard_link(PROGRAM, &program)
            .or_else(|_| fs::copy(PROGRAM, &program).map(drop))
            .unwrap();
        let mut machine = Self { name, data, program, url, address, agent };
        machine.starts(&["--token", token.token.reveal()]);
        machine.is_heard_of(operator).await;
        machine
    }

    fn starts(&mut self, more: &[&str]) {
        let log = self.data.with_extension("log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["agent", "--join", &self.url, "--name", self.name]);
        command.args(["--listen-ip", self.address, "--share-packages"]);
        command.arg(format!("{}:0", self.address)).arg("--data").arg(&self.data).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.process_group(0).kill_on_drop(true);
        self.agent = Some(command.spawn().unwrap());
    }

    async fn ends(&mut self, how: Signal) {
        let mut agent = self.agent.take().unwrap();
        signal(agent.id().unwrap(), how);
        agent.wait().await.unwrap();
    }

    /// Another program takes the place of the one that runs.
    fn is_upgraded(&self) {
        let new = self.program.with_extension("new");
        fs::copy(PROGRAM, &new).unwrap();
        fs::rename(new, &self.program).unwrap();
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

    /// Has all releases ready, and shares them.
    async fn is_ready(&self, operator: &Person) {
        let is_ready = |node: &Option<Node>| {
            let releases = node.iter().filter(|node| node.shares_at.is_some());
            let releases = releases.flat_map(|node| &node.releases);
            releases.filter(|it| it.state == ReleaseState::Ready).count() == SERVICES.len()
        };
        eventually("it is ready", || node(operator, self.name), is_ready).await;
    }

    /// How many packages other machines have given to it.
    fn was_given(&self) -> usize {
        let log = fs::read_to_string(self.data.with_extension("log")).unwrap();
        log.matches("a node gave a package").count()
    }

    async fn is_heard_of(&self, operator: &Person) -> Node {
        let is_it = |node: &Option<Node>| node.as_ref().is_some_and(|node| node.alive);
        let found = eventually("it is heard of", || node(operator, self.name), is_it).await;
        found.unwrap()
    }
}

const SERVICES: [&str; 3] = ["plain", "keeper", "common"];
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories/nodes");

/// The services' folders with another `serve.py`; answers where.
fn other_release(world: &World, name: &str, change: impl Fn(&str) -> String) -> String {
    let folder = world.folder().join(format!("{name}-release"));
    for service in SERVICES {
        fs::create_dir_all(folder.join(service)).unwrap();
        for file in ["mandate.toml", "prices.toml"] {
            let from = format!("{FOLDER}/{service}/{file}");
            fs::copy(from, folder.join(service).join(file)).unwrap();
        }
    }
    let text = fs::read_to_string(format!("{FOLDER}/serve.py")).unwrap();
    let text = text.replace("RELEASE = \"first\"", &format!("RELEASE = \"{name}\""));
    fs::write(folder.join("serve.py"), change(&text)).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// The keeper's folder with a release that needs another shape of its databases, which a statement
/// makes.
fn migrates(world: &World, name: &str, schema: u32, statements: &str) -> String {
    let shape = format!("SHAPE = \"{statements}\"");
    let change = |text: &str| {
        let text = text.replace("SHAPE = TABLE + FIRST", &shape);
        text.replace("    ask(SHAPE)", "    ask(SHAPE)\n    time.sleep(1)")
    };
    let folder = format!("{}/keeper", other_release(world, name, change));
    let manifest = format!("{folder}/mandate.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let text = text.replace("[database]", &format!("[database]\nschema = {schema}"));
    let check = "[run]\ncheck = [\"python3\", \"serve.py\", \"check\"]";
    fs::write(manifest, text.replace("[run]", check)).unwrap();
    folder
}

async fn node(operator: &Person, name: &str) -> Option<Node> {
    let nodes: Page<Node> = operator.does(&["node", "list"]).await;
    nodes.items.into_iter().find(|node| node.name.as_str() == name)
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

/// Each instance has one process, and what serves all has one on each of so many machines.
async fn each_runs_once(world: &World, instances: &[Instance], machines: usize) {
    until("each instance runs exactly once, and what serves all on each machine", async || {
        let of_all = processes_of(world.folder()).into_iter().filter(|pid| {
            variable(*pid, "MANDATE_SERVICE").is_some() && variable(*pid, "PORT").is_some()
        });
        of_all.count() == machines
            && processes(world, instances).values().all(|processes| processes.len() == 1)
    })
    .await;
}

/// Who and what takes part.
struct Scene {
    operator: Person,
    ada: Person,
    second: Machine,
    third: Machine,
    /// What can move.
    plain: Vec<Instance>,
    /// What has its data on its machine.
    keepers: Vec<Instance>,
    /// Both.
    all: Vec<Instance>,
    /// The hosts of all of it, and of an instance of what serves all.
    hosts: Vec<String>,
}

pub(crate) async fn story(world: &mut World) {
    let mut scene = Scene::new(world).await;
    let asked = Jobs::are_asked_for(world, &scene.hosts);
    scene.agents_are_away(world).await;
    scene.releases_go_out_and_come_back(world).await;
    scene.databases_go_with_their_instances(world).await;
    scene.a_machine_is_emptied(world).await;
    scene.a_machine_is_lost(world).await;
    // Whatever was taken was done, and had its effect once.
    asked.had_their_effect_once(&scene.operator).await;
    // What their agents would leave ends with the story.
    scene.third.is_lost().await;
    scene.second.is_lost().await;
}

impl Scene {
    async fn new(world: &World) -> Self {
        let operator = world.operator().await;
        for service in SERVICES {
            let _: Release =
                operator.does(&["service", "publish", &format!("{FOLDER}/{service}")]).await;
        }
        let second = Machine::joins(world, &operator, "second", "127.0.0.2").await;
        second.is_ready(&operator).await;
        let third = Machine::joins(world, &operator, "third", "127.0.0.3").await;
        third.is_ready(&operator).await;
        assert_eq!((second.was_given(), third.was_given()), (0, SERVICES.len()));
        let ada = world.registers("ada").await;
        let plain = take(&ada, world, "plain", 6).await;
        let keepers = take(&ada, world, "keeper", 3).await;
        let common = take(&ada, world, "common", 1).await;
        let all: Vec<Instance> = plain.iter().chain(&keepers).cloned().collect();
        each_runs_once(world, &all, 3).await;
        let hosts = all.iter().chain(&common).map(|it| it.host.to_string()).collect();
        let scene = Self { operator, ada, second, third, plain, keepers, all, hosts };
        for name in ["second", "third"] {
            let there = node(&scene.operator, name).await.unwrap().node;
            assert_eq!(scene.share_of(there).await, (2, 1), "{name} has its share");
        }
        scene
    }

    /// How many of what can move and of what cannot are on a node.
    async fn share_of(&self, node: NodeId) -> (usize, usize) {
        let places = places(&self.operator).await;
        let there = |it: &&Instance| places.get(&it.instance) == Some(&node);
        (self.plain.iter().filter(there).count(), self.keepers.iter().filter(there).count())
    }

    /// An agent is away for so long that its node is silent, and its replicas answer. Meanwhile another
    /// machine's program is replaced, and both that the agents talk to are killed.
    async fn agents_are_away(&mut self, world: &mut World) {
        let Self { operator, second, third, all, hosts, .. } = self;
        let before = processes(world, all);
        let visitors = Visitors::come(world, hosts);
        second.ends(Signal::TERM).await;
        third.is_upgraded();
        third.ends(Signal::TERM).await;
        third.starts(&[]);
        world.loses("jobs", Duration::from_millis(500)).await;
        world.loses("releases", Duration::from_millis(500)).await;
        let is_silent = |node: &Option<Node>| node.as_ref().is_some_and(|node| !node.alive);
        eventually("it is silent", || node(operator, "second"), is_silent).await;
        second.starts(&[]);
        second.is_heard_of(operator).await;
        third.ends(Signal::KILL).await;
        third.starts(&[]);
        third.is_heard_of(operator).await;
        visitors.were_all_answered().await;
        assert_eq!(processes(world, all), before, "nothing was started again");
    }

    /// Instances move to another release one by one, and back from one that does not run; nobody is
    /// turned away meanwhile.
    async fn releases_go_out_and_come_back(&mut self, world: &mut World) {
        let visitors = Visitors::come(world, &self.hosts);
        let second = other_release(world, "second", str::to_owned);
        for service in SERVICES {
            let folder = format!("{second}/{service}");
            let publish = ["service", "publish", &folder, "--promote", "--wait"];
            let release: Release = self.operator.does(&publish).await;
            assert!(release.current);
        }
        self.all_are_on(world, "second").await;
        each_runs_once(world, &self.all, 3).await;
        // One that nodes can have, and that then does not answer.
        let third = other_release(world, "third", |text| text.replace("serve_forever", "nothing"));
        let folder = format!("{third}/plain");
        let publish = ["service", "publish", &folder, "--promote"];
        let release: Release = self.operator.does(&publish).await;
        world.loses("releases", Duration::from_millis(500)).await;
        let fails = async || {
            let nodes: Page<Node> = self.operator.does(&["node", "list"]).await;
            let mut replicas = nodes.items.iter().flat_map(|node| &node.replicas);
            replicas.any(|replica| replica.digest == release.digest && replica.starts > 1)
        };
        until("it was started in vain", fails).await;
        self.all_are_on(world, "second").await;
        let status = self.operator.runs(&["release", "status", "plain"]).await.good();
        assert!(status.contains("6 instances are still to move"), "{status}");
        let back: Release = self.operator.does(&["release", "rollback", "plain"]).await;
        assert!(back.current && back.digest != release.digest);
        // And back from one that runs.
        let _: Release = self.operator.does(&["release", "rollback", "common"]).await;
        let common = world.browser("common-0.localhost").get("/").await.is(200);
        common.shows("of the first release");
        visitors.were_all_answered().await;
        each_runs_once(world, &self.all, 3).await;
    }

    /// Instances with a database come to a release that needs another shape of it, and come back from
    /// one whose migration fails after it has done harm; `configurator` is killed meanwhile. Visitors
    /// wait, and none is turned away.
    async fn databases_go_with_their_instances(&mut self, world: &mut World) {
        let mut closed = BTreeSet::new();
        let visitors = Visitors::come(world, &self.hosts);
        let folder = migrates(
            world,
            "marked",
            2,
            "ALTER TABLE note ADD COLUMN mark TEXT;UPDATE note SET mark = 'marked'",
        );
        let publish = ["service", "publish", &folder, "--promote", "--wait"];
        let marked: Release = self.operator.does(&publish).await;
        for keeper in &self.keepers {
            let browser = world.browser(keeper.host.as_str());
            assert_eq!(browser.get("/notes").await.is(200).body.trim(), "kept|marked");
            browser.get("/").await.is(200).shows("of the marked release");
        }
        let host = self.keepers[0].host.to_string();
        let said = self.ada.runs(&["instance", "show", &host]).await.good();
        assert!(said.contains("its requests waited for"), "{said}");
        self.notes_what_was_closed(&mut closed).await;
        let folder = migrates(world, "broken", 3, "DROP TABLE note;SELECT nothing");
        let publish = ["service", "publish", &folder, "--promote"];
        let broken: Release = self.operator.does(&publish).await;
        assert_ne!(broken.digest, marked.digest);
        world.loses("configurator", Duration::from_millis(300)).await;
        until("it has failed", async || {
            let status = self.operator.runs(&["release", "status", "keeper"]).await.good();
            status.contains("paused") && status.contains("`migrate` failed")
        })
        .await;
        for keeper in &self.keepers {
            let browser = world.browser(keeper.host.as_str());
            assert_eq!(browser.get("/notes").await.is(200).body.trim(), "kept|marked");
            browser.get("/").await.is(200).shows("of the marked release");
        }
        let back: Release = self.operator.does(&["release", "rollback", "keeper"]).await;
        assert_eq!(back.digest, marked.digest);
        self.notes_what_was_closed(&mut closed).await;
        visitors.were_all_answered_but(&closed).await;
        each_runs_once(world, &self.all, 3).await;
    }

    /// On a slow machine an instance's last move may take longer than requests wait.
    async fn notes_what_was_closed(&self, closed: &mut BTreeSet<String>) {
        for keeper in &self.keepers {
            let host = keeper.host.to_string();
            let shown: Instance = self.ada.does(&["instance", "show", &host]).await;
            if shown.last_move.unwrap().closed_millis > 0 {
                closed.insert(host);
            }
        }
    }

    async fn all_are_on(&self, world: &World, release: &str) {
        for host in &self.hosts {
            let page = world.browser(host).get("/").await.is(200);
            page.shows(&format!("of the {release} release"));
        }
    }

    /// Each runs elsewhere before it ends there, and what cannot move is named.
    async fn a_machine_is_emptied(&self, world: &World) {
        let visitors = Visitors::come(world, &self.hosts);
        let drain = ["node", "drain", "second", "--within", "80s"];
        let drained: Node = self.operator.does(&drain).await;
        let drain = drained.drain.unwrap();
        assert_eq!((drain.left, drain.stays.len()), (0, 1), "{:?}", drain.stays);
        each_runs_once(world, &self.all, 2).await;
        visitors.were_all_answered().await;
        assert_eq!(self.share_of(drained.node).await, (0, 1));
        let refused = self.operator.runs(&["node", "remove", "second"]).await.refused(5);
        assert!(refused.contains("1 instance"), "{refused}");
        let _: Node = self.operator.does(&["node", "drain", "second", "--undo"]).await;
    }

    /// What can move does, and what cannot waits for it.
    async fn a_machine_is_lost(&mut self, world: &World) {
        let lost = node(&self.operator, "third").await.unwrap().node;
        let there = places(&self.operator).await;
        let is_there = |it: &&Instance| there.get(&it.instance) == Some(&lost);
        let stays: Vec<&Instance> = self.keepers.iter().filter(is_there).collect();
        assert_eq!(stays.len(), 1);
        self.third.is_lost().await;
        for instance in &self.plain {
            let browser = world.browser(instance.host.as_str());
            until("it answers from elsewhere", async || browser.get("/").await.status == 200).await;
        }
        let host = stays[0].host.as_str();
        let closed = world.browser(host);
        assert_eq!(closed.get("/").await.status, 503, "it never starts empty elsewhere");
        let said = self.ada.runs(&["instance", "show", host]).await.good();
        assert!(said.contains("`third`") && said.contains("its data is there"), "{said}");
        // It is back, with what has its data there, and runs nothing that has moved away.
        self.third.starts(&[]);
        until("it answers again", async || closed.get("/").await.status == 200).await;
        each_runs_once(world, &self.all, 3).await;
        assert_eq!(self.share_of(lost).await, (0, 1));
    }
}
