//! What does not work, and how one learns why.

use std::{fs, path::PathBuf};

use api::{
    Kind,
    configurator::{Instance, InstanceState, ListInstances, SubmitSetup},
    jobs::{Job, ListInstanceJobs},
    provider::{ListOffers, ListOrders},
    releases::{ListNodes, ListReleases, ReplicaState},
};
use types::{Page, Secret};

use crate::{
    main_job::setup_path,
    world::{Person, Signal, World, eventually, replicas_at, signal, until},
};

pub(crate) async fn story(world: &World) {
    let operator = world.operator().await;
    let roy = world.registers("roy").await;
    unknown_hosts(world).await;
    orders_that_cannot_be_kept(&roy).await;
    services_that_cannot_be_published(world, &operator).await;
    a_set_up_that_is_sent_twice(world, &roy).await;
    a_suspended_instance(world, &operator, &roy).await;
    a_replica_that_is_gone(world, &operator, &roy).await;
    a_service_that_never_answers(world, &operator, &roy).await;
}

async fn unknown_hosts(world: &World) {
    let page = world.browser("nobody.localhost").get("/").await.is(404);
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    page.shows("Nothing lives here").shows("nobody.localhost");
    let problem = world.browser("nobody.localhost").into_program().get("/").await.problem();
    assert_eq!((problem.status, problem.code.as_str()), (404, "unknown_host"));
}

async fn orders_that_cannot_be_kept(roy: &Person) {
    let order = ["order", "place", "forum", "--host", "roy-forum.localhost", "--size", "small"];
    let cases: [(&[&str], &str); 6] = [
        (&["--modules", "chess"], "there is no module `chess`: `forum` has"),
        (&["--modules", "badges"], "`badges` needs `polls`: take `polls` too"),
        (&["--plan", "gold"], "`forum` has no plan `gold`; choose one of"),
        (&["--host", "bakery-forum.localhost"], "is taken already; choose another one"),
        (&["--host", "console.localhost"], "is reserved for the platform; choose another one"),
        (&["--size", "enormous"], "has no size `enormous`; choose one of"),
    ];
    for (wish, sentence) in cases {
        let replaced = wish.first().unwrap();
        let kept: Vec<&str> = match order.iter().position(|word| word == replaced) {
            Some(place) => [&order[..place], &order[place + 2..]].concat(),
            None => order.to_vec(),
        };
        let refused = roy.runs(&[&kept, wish].concat()).await.refused(5);
        assert!(refused.contains(sentence), "{wish:?}: {refused}");
    }
    let refused = roy.runs(&["order", "place", "chess", "--size", "s", "--host", "c.localhost"]);
    let refused = refused.await.refused(5);
    assert!(refused.contains("`mandate offer list`"), "{refused}");
    // Nothing is half-made.
    let (account, after, limit) = (roy.account(), None, None);
    let orders = roy.asks(ListOrders { account, after: None, limit }).await.unwrap();
    let instances = roy.asks(ListInstances { account, after, limit }).await.unwrap();
    assert!(orders.items.is_empty() && instances.items.is_empty());
}

async fn services_that_cannot_be_published(world: &World, operator: &Person) {
    let offered = operator.asks(ListOffers::default()).await.unwrap();
    let releases = async || {
        let service = "forum".parse().unwrap();
        operator.asks(ListReleases { service, after: None, limit: None }).await.unwrap()
    };
    let before = releases().await;
    let refuse = async |folder: PathBuf, sentences: &[&str]| {
        let folder = folder.to_str().unwrap().to_owned();
        let refused = operator.runs(&["service", "publish", &folder]).await.refused(5);
        for sentence in sentences {
            assert!(refused.contains(sentence), "`{sentence}` is not in {refused}");
        }
    };
    let route = ("permission = \"addUsers\"", "permission = \"store.manageOrders\"");
    let sentences = [
        "mandate.toml:",
        "[routes[1].permission]",
        "`store` is another namespace: a service may only name its own permissions",
        "name one of `forum`",
    ];
    refuse(altered(world, "namespace", &[route], &[]), &sentences).await;
    let name = ("name = \"forum\"", "name = \"billing\"");
    let book = ("service = \"forum\"", "service = \"billing\"");
    refuse(altered(world, "reserved", &[name], &[book]), &["mandate.toml:", "`billing`"]).await;
    let unpriced = ("sizes.medium", "# sizes.medium");
    let sentences = ["prices.toml:", "the size `medium` has no price", "write `sizes.medium ="];
    refuse(altered(world, "unpriced", &[], &[unpriced]), &sentences).await;
    assert_eq!(operator.asks(ListOffers::default()).await.unwrap(), offered);
    assert_eq!(releases().await, before);
}

/// The forum's folder with other words in its two files.
fn altered(
    world: &World,
    name: &str,
    manifest: &[(&str, &str)],
    prices: &[(&str, &str)],
) -> PathBuf {
    let folder = world.folder().join("altered").join(name);
    fs::create_dir_all(&folder).unwrap();
    for (file, changes) in [("mandate.toml", manifest), ("prices.toml", prices)] {
        let original = crate::world::workspace().join("services/forum").join(file);
        let mut text = fs::read_to_string(original).unwrap();
        for (old, new) in changes {
            assert!(text.contains(old), "`{old}` is not in {file}");
            text = text.replace(old, new);
        }
        fs::write(folder.join(file), text).unwrap();
    }
    folder
}

async fn a_set_up_that_is_sent_twice(world: &World, roy: &Person) {
    let host = "twice-forum.localhost";
    let forum = roy.orders_forum(world, host, "polls").await;
    let (account, instance) = (roy.account(), forum.instance);
    let value = |text: &str| Secret::new(text);
    let values = [("admin_email".to_owned(), value("roy@example.com"))].into();
    let submit = SubmitSetup { account, instance, key: None, values };
    let browser = world.browser(host);
    let path = setup_path(&forum);
    let fields = [("admin_email", "roy@example.com")];
    let (one, two, three) = tokio::join!(
        roy.asks(submit.clone()),
        roy.asks(submit.clone()),
        browser.post(&path, &fields),
    );
    assert_eq!(three.status, 303, "{three:?}");
    let steps = |setup: &api::configurator::Setup| {
        setup.steps.iter().map(|step| step.job).collect::<Vec<_>>()
    };
    assert_eq!(steps(&one.unwrap()), steps(&two.unwrap()));
    until("it opens", async || browser.get("/").await.status == 200).await;
    // Once more, when it is open.
    let again = roy.asks(submit).await.unwrap();
    assert_eq!(again.state, InstanceState::Open);
    let list =
        ListInstanceJobs { account, instance, state: None, name: None, after: None, limit: None };
    let jobs: Page<Job> = roy.asks(list).await.unwrap();
    let mut names: Vec<(&str, u32)> =
        jobs.items.iter().map(|job| (job.name.as_str(), job.attempts)).collect();
    names.sort_unstable();
    assert_eq!(names, [("migrate", 1), ("seed", 1)]);
    let page = browser.get("/").await.is(200);
    assert_eq!(page.body.matches("Welcome to Our forum").count(), 1, "{page:?}");
}

async fn a_suspended_instance(world: &World, operator: &Person, roy: &Person) {
    let host = "twice-forum.localhost";
    let instance: Instance = roy.does(&["instance", "show", host]).await;
    let (id, account) = (instance.instance.to_string(), roy.account().to_string());
    let suspend = ["instance", "suspend", &id, "--reason", "the rent is due"];
    let refused = roy.runs(&suspend).await.refused(3);
    assert!(refused.contains("provider.suspendInstance"), "{refused}");
    operator.runs(&[&suspend[..], &["--account", &account]].concat()).await.good();
    let browser = world.browser(host);
    until("it is closed", async || browser.get("/").await.status == 402).await;
    browser.get("/").await.is(402).shows("Suspended").shows("the rent is due");
    let problem = world.browser(host).into_program().get("/").await.problem();
    assert_eq!((problem.kind, problem.code.as_str()), (Kind::Denied, "suspended"));
    operator.runs(&["instance", "resume", &id, "--account", &account]).await.good();
    until("it is open again", async || browser.get("/").await.status == 200).await;
}

async fn a_replica_that_is_gone(world: &World, operator: &Person, roy: &Person) {
    let host = "roy-store.localhost";
    let store = roy.opens_store(world, host).await;
    let healthy = async || {
        let nodes = operator.asks(ListNodes::default()).await.unwrap().items;
        let replicas = nodes.into_iter().flat_map(|node| node.replicas);
        let mut replicas = replicas.filter(|r| r.instance == Some(store.instance));
        replicas.find(|replica| replica.state == ReplicaState::Healthy)
    };
    let replica = eventually("it is healthy", healthy, Option::is_some).await.unwrap();
    let processes = replicas_at(world.folder(), &replica.address);
    assert!(!processes.is_empty());
    for pid in processes {
        signal(pid, Signal::KILL);
    }
    let browser = world.browser(host);
    // What it was asked while it died was broken off; what comes later waits a moment for it.
    until("it comes back by itself", async || browser.get("/").await.status == 200).await;
    until("that is known", async || healthy().await.is_some_and(|r| r.starts > replica.starts))
        .await;
}

/// It starts, and is never healthy: there is nobody to answer.
async fn a_service_that_never_answers(world: &World, operator: &Person, roy: &Person) {
    let folder = world.folder().join("mute");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("mandate.toml"), include_str!("mute/mandate.toml")).unwrap();
    fs::write(folder.join("prices.toml"), include_str!("mute/prices.toml")).unwrap();
    operator.runs(&["service", "publish", folder.to_str().unwrap()]).await.good();
    let host = "roy-mute.localhost";
    // Nobody waits for it: it would be told after two minutes that nothing answers.
    let order = ["order", "place", "mute", "--size", "small", "--host", host];
    roy.runs(&order).await.good();
    let browser = world.browser(host);
    let look = || browser.get("/");
    let waits = |answer: &crate::world::Answer| answer.body.contains("Back in a moment");
    let page = eventually("nobody is there", look, waits).await.is(503);
    assert_eq!(page.header("retry-after"), "2");
    let problem = world.browser(host).into_program().get("/").await.problem();
    assert_eq!((problem.kind, problem.retry_after), (Kind::Unavailable, Some(2)));
}
