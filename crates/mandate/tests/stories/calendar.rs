//! An application that is not ours at all, Radicale, and a client that is not ours either.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use api::{configurator::Instance, releases::Release};
use tokio::process::Command;
use types::Page;

use crate::{
    bill::usage,
    world::{Person, World, eventually, until, workspace},
};

/// What `pip` fetches for the client.
const CLIENT: &str = "caldav==3.6.0";
const EVENT: &str = "The oven is swept";

pub(crate) async fn story(world: &World) {
    let operator = world.operator().await;
    let publish = ["service", "publish", "services/radicale"];
    let _: Release = operator.does(&publish).await;
    let python = client(CLIENT, "caldav").await;
    world.has_ready(&operator, "radicale").await;
    let (ada, eve) = (world.registers("ada").await, world.registers("eve").await);
    let adas = open(world, &ada, "ada-calendar.localhost", "user=ada").await;
    let eves = open(world, &eve, "eve-calendar.localhost", "user=eve").await;

    let client = |instance, user, arguments| asks(world, &python, instance, user, arguments);
    let kept = format!("Bakery: {EVENT}\n");
    assert_eq!(client(&adas, "ada", &["keep", EVENT]).await, kept);
    assert_eq!(client(&adas, "ada", &["list"]).await, kept);
    assert_eq!(client(&eves, "eve", &["list"]).await, "");
    for (instance, user) in [(&eves, "ada"), (&adas, "eve")] {
        assert_eq!(client(instance, user, &["list"]).await, "refused\n", "{user}");
    }
    // Each of the methods has come through, and was counted.
    let told = || usage(&ada, adas.instance);
    let notes = ["PROPFIND", "MKCALENDAR", "PUT", "REPORT"];
    let all = |seen: &Page<api::billing::UsageEvent>| {
        let counted = |note: &&str| seen.items.iter().any(|event| event.note.contains(*note));
        notes.iter().all(counted)
    };
    eventually("every method is counted", told, all).await;
}

/// Takes calendars at `host`, and waits until they are there.
async fn open(world: &World, person: &Person, host: &str, user: &str) -> Instance {
    let order = ["order", "place", "radicale", "--size", "small", "--host", host, "--wait"];
    let _: Instance = person.does(&order).await;
    let setup = ["instance", "setup", host, "--wait", user, "password=rye and wheat"];
    let _: serde_json::Value = person.does(&setup).await;
    let browser = world.browser(host);
    until("the calendars are there", async || browser.get("/.web/").await.status == 200).await;
    person.does(&["instance", "show", host]).await
}

/// What a calendar client prints that is signed in at the instance as `user`.
async fn asks(
    world: &World,
    python: &Path,
    instance: &Instance,
    user: &str,
    arguments: &[&str],
) -> String {
    let host = format!("{}:{}", instance.host, world.port());
    let script = workspace().join("crates/mandate/tests/stories/caldav_client.py");
    let mut command = Command::new(python);
    command.arg("-B").arg(script).args([&format!("{}/", world.url()), &host, user]);
    command.arg("rye and wheat").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let done = command.output().await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// A Python that has a client, in a folder that is kept from run to run.
pub(crate) async fn client(package: &str, module: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    let python = folder.join("bin/python");
    let import = format!("import {module}");
    let there = async || runs(&python, &["-c", &import]).await;
    if !there().await {
        let folder = folder.to_str().unwrap();
        assert!(runs(Path::new("python3"), &["-m", "venv", "--clear", folder]).await);
        assert!(runs(&python, &["-m", "pip", "install", "--quiet", package]).await);
        assert!(there().await);
    }
    python
}

pub(crate) async fn runs(program: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.status().await.is_ok_and(|status| status.success())
}
