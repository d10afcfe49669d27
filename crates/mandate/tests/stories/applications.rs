//! Applications that nobody here wrote, each as it comes from npm or `PyPI`, with a manifest, prices
//! and little else; and clients that are not ours either.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use api::{
    configurator::Instance,
    jobs::{JobState, ListInstanceJobs},
    releases::Release,
};
use tokio::process::Command;

use crate::{
    calendar::client,
    chromium::Chromium,
    world::{Browser, Person, World, until, workspace},
};

const LINE: &str = "The oven is swept";

/// `TiddlyWiki`, a notebook: what was written outlives a restart, and is one customer's own.
pub(crate) async fn notebook(mut world: World) {
    let operator = world.operator().await;
    let _: Release = operator.does(&["service", "publish", "services/tiddlywiki"]).await;
    world.has_ready(&operator, "tiddlywiki").await;
    let (ada, eve) = (world.registers("ada").await, world.registers("eve").await);
    let look = "/status";
    let of = |user| [user, "password=rye and wheat"];
    let adas = open(&world, &ada, "tiddlywiki", "ada-notes.localhost", look, &of("user=ada")).await;
    let eves = open(&world, &eve, "tiddlywiki", "eve-notes.localhost", look, &of("user=eve")).await;
    let python = Path::new("python3");
    let script = "notebook_client.py";
    let kept = format!("{LINE}\n");
    let keep = ["keep", LINE, "By the apprentice."];
    assert_eq!(asks(&world, python, script, &adas, "ada", &keep).await, kept);
    assert_eq!(asks(&world, python, script, &adas, "eve", &keep).await, "refused\n");
    assert_eq!(asks(&world, python, script, &eves, "eve", &["list"]).await, "\n");
    world.stop().await;
    world.start_again().await;
    answers(&world.browser("ada-notes.localhost"), look).await;
    assert_eq!(asks(&world, python, script, &adas, "ada", &["list"]).await, kept);
    world.end().await;
}

/// Kinto, a store of documents in the instance's database, with secrets that are its own.
pub(crate) async fn documents(world: World) {
    let operator = world.operator().await;
    let _: Release = operator.does(&["service", "publish", "services/kinto"]).await;
    let python = client("kinto-http==11.11.0", "kinto_http").await;
    world.has_ready(&operator, "kinto").await;
    let (ada, eve) = (world.registers("ada").await, world.registers("eve").await);
    let look = "/v1/";
    let adas = open(&world, &ada, "kinto", "ada-breads.localhost", look, &["project=Bakery"]).await;
    let eves = open(&world, &eve, "kinto", "eve-breads.localhost", look, &[]).await;
    let name = world.browser("ada-breads.localhost").get(look).await.json();
    assert_eq!(name["project_name"], "Bakery");
    let script = "documents_client.py";
    let asks = |instance, user, words| asks(&world, &python, script, instance, user, words);
    assert_eq!(asks(&adas, "ada", &["join"]).await, "\n");
    assert_eq!(asks(&eves, "eve", &["join"]).await, "\n");
    assert_eq!(asks(&adas, "ada", &["keep", "Rye"]).await, "Rye\n");
    assert_eq!(asks(&eves, "eve", &["list"]).await, "\n");
    assert_eq!(asks(&eves, "ada", &["list"]).await, "refused\n");
    // With another secret nobody is whom they were, and the documents are still there.
    let rotate = ["instance", "rotate", "ada-breads.localhost", "KINTO_USERID_HMAC_SECRET"];
    let _: api::Empty = ada.does(&rotate).await;
    let browser = world.browser("ada-breads.localhost");
    until("it serves all the while", async || browser.get(look).await.status == 200).await;
    assert_eq!(asks(&adas, "ada", &["list"]).await, "Rye\n");
    world.end().await;
}

/// Spirit, a forum: a process beside it makes the small picture of each that is put up.
pub(crate) async fn discussions(mut world: World) {
    let operator = world.operator().await;
    let _: Release = operator.does(&["service", "publish", "services/spirit", "--wait"]).await;
    let python = client("MechanicalSoup==1.4.0", "mechanicalsoup").await;
    let (ada, eve) = (world.registers("ada").await, world.registers("eve").await);
    let adas = has_own(&world, &ada, "spirit", "ada-talk.localhost", ("/", "user=ada")).await;
    let eves = has_own(&world, &eve, "spirit", "eve-talk.localhost", ("/", "user=eve")).await;
    let script = "forum_client.py";
    let kept = format!("{LINE}\n");
    let write = ["write", LINE, "By the apprentice."];
    assert_eq!(asks(&world, &python, script, &adas, "ada", &write).await, kept);
    assert_eq!(asks(&world, &python, script, &adas, "eve", &write).await, "refused\n");
    assert_eq!(asks(&world, &python, script, &eves, "eve", &["list"]).await, "\n");
    let picture = asks(&world, &python, script, &adas, "ada", &["picture"]).await;
    let small = picture.trim().replace("pic.jpg", "pic_small.jpg");
    assert!(small.starts_with("/media/") && small.ends_with("pic_small.jpg"), "{picture}");
    answers(&world.browser("ada-talk.localhost"), &small).await;
    world.browser("eve-talk.localhost").get(&small).await.is(404);

    world.stop().await;
    world.start_again().await;
    let visitor = world.browser("ada-talk.localhost");
    answers(&visitor, "/").await;
    answers(&visitor, &small).await;
    assert_eq!(asks(&world, &python, script, &adas, "ada", &["list"]).await, kept);
    world.end().await;
}

/// Oscar, a shop: its pictures and its style are files that the platform serves, and it does
/// something by itself.
pub(crate) async fn shop(mut world: World) {
    let operator = world.operator().await;
    let folder = every_minute(&world, "services/oscar");
    let folder = folder.to_str().unwrap();
    let _: Release = operator.does(&["service", "publish", folder, "--wait"]).await;
    let python = client("MechanicalSoup==1.4.0", "mechanicalsoup").await;
    let (ada, eve) = (world.registers("ada").await, world.registers("eve").await);
    let look = "/catalogue/";
    let adas = has_own(&world, &ada, "oscar", "ada-bread.localhost", (look, "name=Rye")).await;
    let eves = has_own(&world, &eve, "oscar", "eve-bread.localhost", (look, "name=Oat")).await;
    let script = "shop_client.py";
    let sell = ["sell", "Rye bread", "4.20"];
    assert_eq!(asks(&world, &python, script, &adas, "ada", &sell).await, "Rye bread\n");
    assert_eq!(asks(&world, &python, script, &adas, "eve", &sell).await, "refused\n");
    assert_eq!(asks(&world, &python, script, &adas, "a visitor", &["buy"]).await, "Rye bread\n");
    assert_eq!(asks(&world, &python, script, &eves, "a visitor", &["list"]).await, "\n");
    is_looked_at(&world, &adas).await;
    let run = ["instance", "run", "ada-bread.localhost", "--", ".venv/bin/django-admin"];
    let done = ada.runs(&[&run[..], &["oscar_update_product_ratings"]].concat()).await.good();
    assert!(done.contains("Successfully updated 1 products"), "{done}");
    let (account, instance) = (ada.account(), adas.instance);
    let (name, state) = (Some("alerts".to_owned()), Some(JobState::Succeeded));
    let alerts = ListInstanceJobs { account, instance, name, state, after: None, limit: None };
    let done = async || !ada.asks(alerts.clone()).await.unwrap().items.is_empty();
    until("what it does by itself", done).await;

    world.stop().await;
    world.start_again().await;
    answers(&world.browser("ada-bread.localhost"), look).await;
    assert_eq!(asks(&world, &python, script, &adas, "ada", &["list"]).await, "Rye bread\n");
    is_looked_at(&world, &adas).await;
    world.end().await;
}

/// A copy of a service that does each minute what it does by itself less often.
fn every_minute(world: &World, service: &str) -> PathBuf {
    let folder = world.folder().join("every-minute");
    std::fs::create_dir(&folder).unwrap();
    for file in std::fs::read_dir(workspace().join(service)).unwrap() {
        let file = file.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("schedule = \"5 * * * *\"", "schedule = \"* * * * *\"");
        std::fs::write(folder.join(file.file_name().unwrap()), text).unwrap();
    }
    folder
}

/// A visitor with Chromium sees the picture of what is sold, and a page with its style.
async fn is_looked_at(world: &World, shop: &Instance) {
    let profile = world.folder().join("chromium").join(world.port().to_string());
    let chromium = Chromium::start(&profile).await;
    chromium.opens(&format!("{}/catalogue/", shop.url)).await;
    assert_eq!(chromium.reads(".product_pod h3").await, "Rye bread");
    let script = "const picture = document.querySelector('.product_pod img'); \
                  await picture.decode(); \
                  return [picture.naturalWidth > 0, document.styleSheets[0].cssRules.length > 100]";
    let seen = chromium.client.execute(script, vec![]).await.unwrap();
    assert_eq!(seen, serde_json::json!([true, true]));
    chromium.client.close().await.unwrap();
}

/// Takes an application of one's own, of which one is the first user.
async fn has_own(
    world: &World,
    person: &Person,
    service: &str,
    host: &str,
    (look, value): (&str, &str),
) -> Instance {
    let email = format!("email={}", person.email);
    let password = "password=rye and wheat";
    open(world, person, service, host, look, &[value, &email, password]).await
}

/// Takes an application at `host`, and waits until it is there.
async fn open(
    world: &World,
    person: &Person,
    service: &str,
    host: &str,
    look: &str,
    values: &[&str],
) -> Instance {
    let order = ["order", "place", service, "--size", "small", "--host", host, "--wait"];
    let _: serde_json::Value = person.does(&order).await;
    let setup = ["instance", "setup", host, "--wait"];
    let values = if values.is_empty() { &["--defaults"] } else { values };
    let _: serde_json::Value = person.does(&[&setup[..], values].concat()).await;
    answers(&world.browser(host), look).await;
    person.does(&["instance", "show", host]).await
}

async fn answers(browser: &Browser, look: &str) {
    until("the application is there", async || browser.get(look).await.status == 200).await;
}

/// What a client prints that is signed in at the instance as `user`.
async fn asks(
    world: &World,
    python: &Path,
    script: &str,
    instance: &Instance,
    user: &str,
    words: &[&str],
) -> String {
    let host = format!("{}:{}", instance.host, world.port());
    let script = workspace().join("crates/mandate/tests/stories").join(script);
    let mut command = Command::new(python);
    command.arg("-B").arg(script).args([&format!("{}/", world.url()), &host, user]);
    command.arg("rye and wheat").args(words).stdin(Stdio::null()).kill_on_drop(true);
    let done = command.output().await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
