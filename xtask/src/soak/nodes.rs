//! Three nodes under load: agents are stopped, upgraded, killed and cut off, nodes lose their power,
//! their disks are full, `jobs` and `releases` are killed. Nobody whose replica lives may be turned
//! away, each job that was taken has its effect once, and in the end each instance runs exactly once.

mod chance;
mod disk;
mod history;
mod load;
mod machines;
mod network;
mod parts;
mod relay;
mod releases;
mod rounds;
mod settled;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use super::databases::{Databases, Engine};
use crate::{
    demo::{
        person::{Person, text},
        platform::operator,
    },
    machine,
    process::Remains,
    programs,
};
use history::compare;
use load::Seen;
use machines::Machine;
use network::Network;
use parts::Parts;

/// Strains three nodes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many times something happens to a machine
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=500))]
    rounds: u32,
    /// After how many minutes nothing more happens
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=120))]
    minutes: u32,
    /// What the order of things follows from; chosen and printed if absent
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// On which databases
    #[arg(long, value_enum, default_value = "sqlite")]
    engine: Engine,
}

/// After so long a silent node has lost what can move.
const MOVE_AFTER: Duration = Duration::from_secs(20);
/// The services of the stories of three nodes, and how many instances of each there are.
type Services = &'static [(&'static str, usize)];
const SERVICES: Services = &[("plain", 6), ("keeper", 3), ("common", 2)];
/// The same while releases go out.
const WITH_RELEASES: Services = &[("plain", 18), ("keeper", 12), ("common", 10), ("pool", 10)];
/// Their folder.
const FOLDER: &str = "crates/mandate/tests/stories/nodes";
/// The machines.
const MACHINES: [&str; 3] = ["first", "second", "third"];

/// What takes part.
struct Scene {
    folder: PathBuf,
    port: u16,
    operator: Person,
    /// Whose instances they are.
    owner: Person,
    /// The hosts of all instances, by their ids; each begins with its service.
    hosts: BTreeMap<String, String>,
    parts: Mutex<Parts>,
    seen: RefCell<Seen>,
    over: Cell<bool>,
    /// How often each thing has happened.
    happened: RefCell<BTreeMap<&'static str, u32>>,
    /// What its own record says was closed for longer than requests wait.
    closed: RefCell<BTreeSet<String>>,
    /// What was wrong with how releases went out.
    wrong: RefCell<Vec<String>>,
}

/// What else happens while machines come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    Nothing,
    /// Releases go out, are paused and come back.
    Releases,
}

/// Runs it.
pub(crate) async fn run(options: &Options, meanwhile: Meanwhile) -> anyhow::Result<ExitCode> {
    machine::ensure(&[&machine::COMPILER, &machine::PYTHON]).await?;
    programs::build(&["build", "--package", "mandate"]).await?;
    let network = Network::new().await;
    let databases = Databases::start(options.engine, network.platform()).await?;
    let folder = std::env::temp_dir().join(format!("mandate-nodes-{}", std::process::id()));
    fs::create_dir_all(folder.join("notes"))?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    // Jobs of several users write there.
    fs::set_permissions(folder.join("notes"), fs::Permissions::from_mode(0o777))?;
    let _remains = Remains(folder.clone());
    let done = strained((options, meanwhile), &folder, (&network, databases.options())).await;
    match &done {
        Ok(code) if *code == ExitCode::SUCCESS => fs::remove_dir_all(&folder)?,
        _ => eprintln!("what is left of it is in {}", folder.display()),
    }
    done
}

async fn strained(
    (options, meanwhile): (&Options, Meanwhile),
    folder: &Path,
    (network, databases): (&Network, Vec<String>),
) -> anyhow::Result<ExitCode> {
    let chosen = RandomState::new().build_hasher().finish() % 1_000_000;
    let seed = options.seed.unwrap_or(chosen);
    let parts = Parts::start(&folder.join("platform"), databases).await?;
    let how = if network.has_namespaces() { "namespaces" } else { "loopback addresses" };
    let (engine, port) = (options.engine, parts.port());
    println!("seed {seed}, on {engine:?}, three {how}, at http://127.0.0.1:{port}");
    let services = if meanwhile == Meanwhile::Releases { WITH_RELEASES } else { SERVICES };
    let (mut scene, mut machines) = prepare(folder, (parts, services), network).await?;
    let Some(longest) = Duration::from_mins(1).checked_mul(options.minutes) else {
        anyhow::bail!("it takes too long");
    };
    let rounds = rounds::Rounds { seed, count: options.rounds, until: Instant::now() + longest };
    let notes = folder.join("notes");
    let hosts: Vec<String> = scene.hosts.values().cloned().collect();
    let told = {
        let scene = &scene;
        let loads = load::comes(scene.port, &hosts, &notes, &scene.seen, &scene.over);
        let happening = async {
            let happened = rounds::happen(scene, &mut machines, (rounds, meanwhile)).await;
            let settled = match happened {
                Ok(()) => settled::settles(scene).await,
                failed => failed,
            };
            scene.over.set(true);
            settled::nobody_was_closed_out_for_nothing(scene);
            settled
        };
        let (happened, ()) = tokio::join!(happening, loads);
        happened
    };
    // The jobs that were asked for last.
    let told = match told {
        Ok(()) => settled::all_jobs_are_done(&scene, &notes).await,
        failed => failed,
    };
    let outcome = compare(&scene.seen.borrow().asked, &history::notes(&notes)?);
    settled::report(&scene, &outcome);
    if let Err(cause) = told {
        eprintln!("\n{}", scene.parts.get_mut().last_words());
        return Err(cause);
    }
    for machine in &mut machines {
        machine.loses_power().await?;
    }
    let went_well = scene.seen.borrow().failed.is_empty() && scene.wrong.borrow().is_empty();
    let right = outcome.is_right() && went_well;
    scene.parts.into_inner().stop().await?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Three machines, and instances that answer.
async fn prepare(
    folder: &Path,
    (parts, services): (Parts, Services),
    network: &Network,
) -> anyhow::Result<(Scene, Vec<Machine>)> {
    let (data, port) = (folder.join("platform"), parts.port());
    let url = format!("http://127.0.0.1:{port}");
    let found = operator(&data)?;
    let operator = Person::new(&data, &url, "operator", &found.email, &found.password);
    operator.ask(&format!("sign-in {}", found.email)).await?;
    let mut machines = Vec::new();
    for (number, name) in (0..).zip(MACHINES) {
        let token = operator.ask("node token").await?;
        let (place, token) = (network.place(number).await?, text(&token, "/token")?);
        machines.push(Machine::joins(folder, (name, place), port, token).await?);
    }
    for (service, _) in services {
        operator.ask(&format!("service publish {FOLDER}/{service}")).await?;
    }
    let owner = Person::new(&data, &url, "ada", "ada@bakery.example", "flour-and-water");
    let registered = owner.ask(&format!("register Soak --email {}", owner.email)).await?;
    let mut hosts = BTreeMap::new();
    let all: usize = services.iter().map(|(_, count)| count).sum();
    let account = text(&registered, "/account")?;
    operator.ask(&format!("order quota --instances {all} --account {account}")).await?;
    for (service, count) in services {
        for number in 0..*count {
            let host = format!("{service}-{number}.localhost");
            let line = format!("order place {service} --size small --host {host} --wait");
            let instance = owner.ask(&line).await?;
            hosts.insert(text(&instance, "/instance")?.to_owned(), host);
        }
    }
    let scene = Scene {
        folder: folder.to_owned(),
        port,
        operator,
        owner,
        hosts,
        parts: Mutex::new(parts),
        seen: RefCell::new(Seen::new()),
        over: Cell::new(false),
        happened: RefCell::default(),
        closed: RefCell::default(),
        wrong: RefCell::default(),
    };
    settled::settles(&scene).await?;
    Ok((scene, machines))
}

impl Scene {
    /// Something has happened.
    fn count(&self, what: &'static str) {
        *self.happened.borrow_mut().entry(what).or_default() += 1;
    }

    fn hosts_of(&self, service: &str) -> impl Iterator<Item = &String> {
        self.hosts.values().filter(move |host| is_of(host, service))
    }

    /// Which hosts each living node has a replica for, by what it says; none while nobody can tell.
    async fn places(&self) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
        let output = self.operator.run("node list --json").await?;
        let nodes: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let mut places = BTreeMap::new();
        for node in nodes["items"].as_array().into_iter().flatten() {
            if node["alive"] == true {
                let replicas = node["replicas"].as_array().into_iter().flatten();
                let hosts = replicas.filter_map(|replica| self.host_of(replica));
                places.insert(text(node, "/name")?.to_owned(), hosts.collect());
            }
        }
        Ok(places)
    }

    fn host_of(&self, replica: &Value) -> Option<String> {
        self.hosts.get(replica["instance"].as_str()?).cloned()
    }
}

/// Whether what its visitors leave is kept in a database that its processes have.
fn keeps(host: &str) -> bool {
    is_of(host, "keeper")
}

fn is_of(host: &str, service: &str) -> bool {
    host.strip_prefix(service).is_some_and(|rest| rest.starts_with('-'))
}
