//! The main job, from published services to an explained bill, as strangers do it.

use api::{
    access::CatalogueEntry,
    billing::GetPriceBook,
    configurator::{Instance, InstanceState},
    jobs::{Job, JobState},
    provider::Offer,
    releases::{ListNodes, Release, ReleasePhase, ReplicaState},
};
use types::Page;

use crate::{
    bill, isolation, shop,
    world::{Browser, Person, World, eventually, until},
};

const HOST: &str = "bakery-forum.localhost";

pub(crate) async fn story(world: &World) {
    let operator = world.operator().await;
    services_are_published(world, &operator).await;
    let ada = world.registers("ada").await;
    let forum = an_instance_is_taken(world, &ada).await;
    it_is_set_up_on_its_page(world, &ada, &forum).await;
    let topic = visitors_use_it(&world.browser(HOST)).await;
    let eve = world.registers("eve").await;
    let eves = (
        eve.opens_forum(world, "eve-forum.localhost").await,
        eve.opens_store(world, "eve-store.localhost").await,
    );
    isolation::is_tried(world, (&ada, &forum, &topic), (&eve, &eves.0, &eves.1)).await;
    shop::is_used(world, &eve, &eves.1).await;
    bill::is_explained(&ada, &forum).await;
}

async fn services_are_published(world: &World, operator: &Person) {
    for service in ["forum", "store"] {
        let folder = format!("services/{service}");
        let release: Release = operator.does(&["service", "publish", &folder]).await;
        assert_eq!((release.phase, release.service.as_str()), (ReleasePhase::Staged, service));
    }
    let permissions: Page<CatalogueEntry> =
        operator.does(&["permissions", "--service", "forum"]).await;
    assert!(permissions.items.iter().any(|entry| entry.permission.as_str() == "forum.addUsers"));
    let book = operator.asks(GetPriceBook { service: "forum".parse().unwrap() }).await.unwrap();
    assert!(book.plans.contains_key("basic"));
    for service in ["forum", "store"] {
        world.has_ready(operator, service).await;
    }
    until("the forum has a healthy replica", async || {
        let nodes = operator.asks(ListNodes::default()).await.unwrap().items;
        let mut replicas = nodes.iter().flat_map(|node| &node.replicas);
        replicas.any(|replica| replica.state == ReplicaState::Healthy)
    })
    .await;
}

async fn an_instance_is_taken(world: &World, ada: &Person) -> Instance {
    let offers: Page<Offer> = ada.does(&["offer", "list"]).await;
    let offered: Vec<&str> = offers.items.iter().map(|offer| offer.service.as_str()).collect();
    assert_eq!(offered, ["forum", "store"]);
    world.browser(HOST).get("/").await.is(404).shows("Nothing lives here");
    let forum = ada.orders_forum(world, HOST, "polls,search").await;
    assert_eq!((forum.state, forum.host.as_str()), (InstanceState::AwaitingSetup, HOST));
    assert_eq!(forum.url, format!("http://{HOST}:{}", world.port()));
    assert_eq!(forum.modules.iter().collect::<Vec<_>>(), ["polls", "search"]);
    forum
}

async fn it_is_set_up_on_its_page(world: &World, ada: &Person, forum: &Instance) {
    let browser = world.browser(HOST);
    let page = browser.get("/").await.is(503);
    assert_eq!(page.header("retry-after"), "2");
    let path = setup_path(forum);
    let page = browser.get(&path).await.is(200);
    for field in ["forum_name", "admin_email", "welcome"] {
        assert!(page.body.contains(&format!("name=\"{field}\"")), "{page:?}");
    }
    page.shows("Visitors see it on every page.").shows("Begin with a welcome topic");
    let fields = [("forum_name", "Crumbs & Crusts"), ("admin_email", "ada@example.com")];
    // Whoever does not have the address that the owner was shown cannot do it.
    browser.post("/.mandate/setup", &fields).await.is(403);
    let wrong = [fields[0], ("admin_email", "ada")];
    browser.post(&path, &wrong).await.is(422).shows("is not an e-mail address");
    assert_eq!(browser.post(&path, &fields).await.leads_to(), path);
    let look = || browser.get(&path);
    let opened = eventually("it opens", look, |answer| {
        let progresses = answer.body.contains("migrate") && answer.body.contains("seed");
        assert!(answer.status == 303 || progresses, "{answer:?}");
        answer.status == 303
    });
    assert_eq!(opened.await.leads_to(), "/");
    let jobs: Page<Job> = ada.does(&["instance", "jobs", HOST]).await;
    let mut done: Vec<_> = jobs.items.iter().map(|job| (job.name.as_str(), job.state)).collect();
    done.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(done, [("migrate", JobState::Succeeded), ("seed", JobState::Succeeded)]);
    let instance: Instance = ada.does(&["instance", "show", HOST]).await;
    assert_eq!((instance.state, instance.setup_url), (InstanceState::Open, None));
}

/// Where the set-up page is on the instance's host.
pub(crate) fn setup_path(instance: &Instance) -> String {
    let url = instance.setup_url.as_ref().unwrap();
    url.strip_prefix(&instance.url).unwrap().to_owned()
}

/// A visitor joins and writes; the path of what they wrote.
async fn visitors_use_it(browser: &Browser) -> String {
    until("visitors are answered", async || browser.get("/").await.status == 200).await;
    browser.get("/").await.is(200).shows("Crumbs &amp; Crusts").shows("Welcome to");
    let fields = [("name", "bea"), ("email", "bea@example.com"), ("password", "rye and wheat")];
    assert_eq!(browser.post("/join", &fields).await.leads_to(), "/");
    let fields = [("title", "Which flour?"), ("body", "Asking for a secret sourdough.")];
    let topic = browser.post("/topics", &fields).await.leads_to();
    let answer = [("body", "Spelt, always.")];
    browser.post(&format!("{topic}/posts"), &answer).await.is(303);
    browser.get(&topic).await.is(200).shows("secret sourdough").shows("Spelt, always.");
    let poll = [("question", "Rye or wheat?"), ("choices", "Rye\nWheat")];
    browser.post("/polls", &poll).await.is(303);
    browser.get("/search?q=sourdough").await.is(200).shows("Which flour?");
    // Badges were not taken.
    browser.get("/badges").await.is(404).shows("Not part of this instance");
    topic
}
