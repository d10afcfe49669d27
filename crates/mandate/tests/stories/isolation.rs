//! Two customers beside each other: each tries what the other has.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use api::{
    Kind, Problem,
    access::{CreateGrant, ListGrants},
    billing::{GetBill, ListUsage},
    configurator::{
        GetEnvironment, GetInstance, GetSetup, Instance, ListInstances, ResolveHost,
        SetMaintenance, SubmitSetup,
    },
    identity::{CreateUser, ListUsers},
    jobs::{ListInstanceJobs, ListJobs},
    provider::{ChangeSubscription, ListOrders, SuspendInstance},
    releases::ListNodes,
};
use db::EngineKind;
use tokio::process::Command;
use types::{AccountId, Clock as _, InstanceId, NodeId, Principal, Resource, Secret, SystemClock};

use crate::world::{Person, World, eventually, processes_of, variable};

type Whose<'a> = (&'a Person, &'a Instance, &'a str);

/// `topic` is the path of what was written in the forum of the first.
pub(crate) async fn is_tried(
    world: &World,
    (ada, forum, topic): Whose<'_>,
    (eve, eves_forum, eves_store): (&Person, &Instance, &Instance),
) {
    through_the_front(world, (ada, forum, topic), (eve, eves_forum, eves_store)).await;
    through_the_interfaces(eve, (ada.account(), forum.instance)).await;
    through_the_database(world, forum, eves_store).await;
    through_the_machine(world, eves_store).await;
}

async fn through_the_front(
    world: &World,
    (ada, forum, topic): Whose<'_>,
    (eve, eves_forum, eves_store): (&Person, &Instance, &Instance),
) {
    let (here, there) = (forum.host.as_str(), eves_forum.host.as_str());
    let stranger = world.browser(there);
    stranger.get("/").await.is(200).hides("Which flour?").hides("Crumbs");
    stranger.get(topic).await.is(404).hides("sourdough");
    // A member of one forum is nobody in the other.
    let member = world.browser(here);
    let fields = [("name", "cy"), ("email", "cy@example.com"), ("password", "rye and wheat")];
    member.post("/join", &fields).await.is(303);
    member.get("/").await.is(200).shows("cy");
    let cookies = member.cookies();
    assert!(!cookies.is_empty());
    let carried = world.browser(there).with_cookies(cookies);
    carried.get("/").await.is(200).shows("/join");
    carried.get("/members").await.is(200).hides("cy@").hides(">cy<");
    // Nor is the owner of one store the keeper of another.
    let store = eves_store.host.as_str();
    world.browser(store).with_token(&eve.token()).get("/admin").await.is(200);
    world.browser(store).with_token(&ada.token()).get("/admin").await.is(403);
    world.browser(store).get("/admin").await.is(303);
}

async fn through_the_interfaces(eve: &Person, (account, instance): (AccountId, InstanceId)) {
    // The other's account, and the other's instance as if it were one's own.
    for account in [account, eve.account()] {
        for (what, problem) in refusals(eve, account, instance).await {
            let kind = problem.as_ref().map(|problem| problem.kind);
            assert!(matches!(kind, Some(Kind::Denied | Kind::NotFound)), "{what}: {problem:?}");
        }
    }
    let (after, limit) = (None, None);
    let own = ListInstanceJobs {
        account: eve.account(),
        instance,
        state: None,
        name: None,
        after: None,
        limit,
    };
    assert!(eve.asks(own).await.unwrap().items.is_empty());
    let (principal, email) = (Principal::Visitor, "mallory@example.com".to_owned());
    let (given, on) = ("owner".parse().unwrap(), Resource::Instance(account, instance));
    let grant = CreateGrant { account, principal, given, on };
    let password = Secret::new("long enough a one");
    let denied = [
        eve.asks(ListInstanceJobs {
            account,
            instance,
            state: None,
            name: None,
            after: None,
            limit,
        })
        .await
        .err(),
        eve.asks(grant).await.err(),
        eve.asks(CreateUser { account, email, password }).await.err(),
        eve.asks(ListUsers { account, after: None, limit }).await.err(),
        eve.asks(ListInstances { account, after: None, limit }).await.err(),
        eve.asks(ListOrders { account, after: None, limit }).await.err(),
        eve.asks(ListGrants { account, after: None, limit }).await.err(),
        eve.asks(ListUsage { account, instance: None, after: None, limit }).await.err(),
        eve.asks(GetBill { account, month: None }).await.err(),
        eve.asks(ListNodes::default()).await.err(),
        eve.asks(ListJobs { after, limit, ..ListJobs::default() }).await.err(),
    ];
    for problem in denied {
        assert_eq!(problem.map(|problem| problem.kind), Some(Kind::Denied));
    }
}

async fn refusals(
    eve: &Person,
    account: AccountId,
    instance: InstanceId,
) -> Vec<(&'static str, Option<Problem>)> {
    let node = NodeId::new(SystemClock.now());
    let (service, host) = ("forum".parse().unwrap(), "bakery-forum.localhost".parse().unwrap());
    let modules = Some(BTreeSet::new());
    let change = ChangeSubscription { account, instance, modules, size: None, builds_on: None };
    let reason = Some("mine now".to_owned());
    let maintenance = SetMaintenance { account, instance, reason: reason.clone() };
    let setup = SubmitSetup { account, instance, key: None, values: [].into() };
    vec![
        ("instance", eve.asks(GetInstance { account, instance }).await.err()),
        ("setup", eve.asks(GetSetup { account, instance }).await.err()),
        ("submit", eve.asks(setup).await.err()),
        ("maintenance", eve.asks(maintenance).await.err()),
        ("change", eve.asks(change).await.err()),
        ("suspend", eve.asks(SuspendInstance { account, instance, reason }).await.err()),
        ("environment", eve.asks(GetEnvironment { node, instance, release: None }).await.err()),
        ("host", eve.asks(ResolveHost { service, host }).await.err()),
    ]
}

/// What a service could do with the database that it was given.
async fn through_the_database(world: &World, forum: &Instance, eves_store: &Instance) {
    let url = eventually(
        "the store runs",
        async || {
            let running = processes_of(&world.data()).into_iter();
            let mut stores = running.filter(|pid| {
                variable(*pid, "PUBLIC_URL").as_deref() == Some(eves_store.url.as_str())
            });
            stores.find_map(|pid| variable(pid, "DATABASE_URL"))
        },
        Option::is_some,
    )
    .await
    .unwrap();
    let (own, other) = (eves_store.instance.to_string(), forum.instance.to_string());
    assert!(url.contains(&own) && !url.contains(&other), "{own} has {url}");
    if world.engine() == EngineKind::Postgres {
        connects(world, &url).await.unwrap();
        let (server, database) = url.rsplit_once('/').unwrap();
        let foreign = format!("{server}/{}", database.replace(&own, &other));
        let refused = connects(world, &foreign).await.unwrap_err();
        assert!(refused.contains("permission denied for database"), "{refused}");
    }
}

/// What a process of the store's could read of all that the platform keeps on this machine.
async fn through_the_machine(world: &World, eves_store: &Instance) {
    let url = Some(eves_store.url.as_str());
    let is_of_store = |pid: &u32| variable(*pid, "PUBLIC_URL").as_deref() == url;
    let store = processes_of(&world.data()).into_iter().find(is_of_store).unwrap();
    let process = PathBuf::from(format!("/proc/{store}"));
    let (about, release) = (process.metadata().unwrap(), process.join("cwd").read_link().unwrap());
    if about.uid() == Path::new("/proc/self").metadata().unwrap().uid() {
        // Who is not root has one user for all.
        return;
    }
    let all = files_below(&world.data());
    let is_own = |path: &PathBuf| {
        path.starts_with(&release)
            || path.symlink_metadata().is_ok_and(|it| it.uid() == about.uid())
    };
    let others: Vec<&PathBuf> = all.iter().filter(|path| !is_own(path)).collect();
    for name in ["master.key", "operator.txt", "node.key", "users.json", "output.log"] {
        assert!(others.iter().any(|path| path.ends_with(name)), "{name} is looked at");
    }
    let manifest = release.join("mandate.toml");
    let asked = others.into_iter().chain([&manifest]).map(|path| path.display().to_string());
    let list = world.folder().join("others");
    std::fs::write(&list, asked.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let [user, group] = [about.uid(), about.gid()].map(|number| number.to_string());
    let mut look = Command::new("setpriv");
    look.args(["--reuid", &user, "--regid", &group, "--clear-groups", "sh", "-c", LOOK]);
    let seen = look.stdin(std::fs::File::open(list).unwrap()).output().await.unwrap();
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    let seen = String::from_utf8(seen.stdout).unwrap();
    assert_eq!(seen.trim(), manifest.to_str().unwrap(), "its own release, and nothing of others");
}

/// Says which of the files can be read whose names are told.
const LOOK: &str = "while read -r name; do ! test -r \"$name\" || echo \"$name\"; done";

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.flat_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_below(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => vec![],
    });
    files.collect()
}

/// Connects with the driver that the store's release brought, as its code could.
async fn connects(world: &World, url: &str) -> Result<(), String> {
    let releases = std::fs::read_dir(world.data().join("agent/releases")).unwrap().flatten();
    let mut pythons = releases.map(|release| release.path().join(".venv/bin/python"));
    let python = pythons.find(|path| path.exists()).unwrap();
    let text = "import psycopg, sys; psycopg.connect(sys.argv[1]).execute('select 1')";
    let run = Command::new(python).args(["-c", text, url]).output().await.unwrap();
    let failed = String::from_utf8_lossy(&run.stderr).into_owned();
    if run.status.success() { Ok(()) } else { Err(failed) }
}
