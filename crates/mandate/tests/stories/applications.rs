//! Applications that nobody here wrote, each as it comes from npm or PyPI, with a manifest and
//! prices and nothing else; and clients that are not ours either.

use std::{path::Path, process::Stdio};

use api::{configurator::Instance, releases::Release};
use tokio::process::Command;

use crate::{
    calendar::client,
    world::{Browser, Person, World, until, workspace},
};

const LINE: &str = "The oven is swept";

/// TiddlyWiki, a notebook: what was written outlives a restart, and is one customer's own.
pub(crate) async fn notebook(mut world: World) {
    let operator = world.operator().await;
    let _: Release = operator.does(&["service", "publish", "services/tiddlywiki"]).await;
    world.has_ready(&operator, "tiddlywiki").await;
    let (ada, eve) = (world.registers("ada").await, world.registers("eve").await);
    let look = "/status";
    let adas = open(&world, &ada, "tiddlywiki", "ada-notes.localhost", look, &["user=ada"]).await;
    let eves = open(&world, &eve, "tiddlywiki", "eve-notes.localhost", look, &["user=eve"]).await;
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
    let password = (service == "tiddlywiki").then_some("password=rye and wheat");
    let values: Vec<&str> = values.iter().copied().chain(password).collect();
    let values = if values.is_empty() { vec!["--defaults"] } else { values };
    let _: serde_json::Value = person.does(&[&setup[..], &values].concat()).await;
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
