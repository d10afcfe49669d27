//! Machines: how one joins, and what they run.

use api::{
    Empty,
    configurator::Hosts,
    identity::JoinToken,
    releases::{Machine, Node, Promised, ReplicaReport, ReplicaState},
};
use types::{Digest, Page, Secret};

use crate::platform::{Person, Platform, id, instance, noon, not_found, reply};

async fn token(url: Option<&str>) -> (Platform, Person) {
    let url = url.map(str::to_owned);
    let platform = Platform::start(move |_| {
        reply(&JoinToken { token: Secret::new("t0ken"), expires: noon(), url: url.clone() })
    })
    .await;
    let operator = Person::at(&platform);
    (platform, operator)
}

#[tokio::test]
async fn another_machine_is_told_an_address_that_leads_to_the_platform() {
    let (_platform, operator) = token(Some("http://10.0.0.4:8080")).await;
    let told = operator.runs(&["node", "token"]).await.good();
    let command = "mandate agent --join http://10.0.0.4:8080 --token t0ken --listen-ip ADDRESS";
    assert!(told.contains(command), "{told}");

    let (platform, operator) = token(None).await;
    let told = operator.runs(&["node", "token"]).await.good();
    let here = format!("mandate agent --join {} --token t0ken\n", platform.url);
    assert!(told.contains("On the platform's own machine") && told.contains(&here), "{told}");
    assert!(told.contains("Other machines cannot join"), "{told}");
}

#[tokio::test]
async fn a_machine_whose_replicas_nobody_would_reach_does_not_join() {
    let join = |at: &'static str| ["agent", "--join", at, "--token", "x", "--data", "/proc/none"];
    // An address for documents, which no machine has.
    let refused = Person::new().runs(&join("http://192.0.2.1:8080")).await;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("say with `--listen-ip`"), "{}", refused.err);
    let shares = ["--listen-ip", "192.0.2.2", "--share-packages", "127.0.0.1:7071"];
    let shares = [&join("http://192.0.2.1:8080")[..], &shares].concat();
    let refused = Person::new().runs(&shares).await;
    assert!(refused.err.contains("say with `--share-packages`"), "{}", refused.err);
    let everywhere = [&join("http://127.0.0.1:9")[..], &["--share-packages", "0.0.0.0:7071"]];
    let refused = Person::new().runs(&everywhere.concat()).await;
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.err.contains("write an address of this machine"), "{}", refused.err);
    // Its own machine gets further: to the folder, which cannot be made.
    let here = Person::new().runs(&join("http://127.0.0.1:9")).await;
    assert!(here.status == 1 && !here.err.contains("--listen-ip"), "{}", here.err);
}

#[tokio::test]
async fn a_port_that_is_said_twice_is_refused() {
    let twice = ["up", "--listen", "127.0.0.1:7000", "--port", "9000", "--data", "/proc/none"];
    let refused = Person::new().runs(&twice).await;
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.err.contains("leave `--port 9000` out"), "{}", refused.err);
}

#[tokio::test]
async fn a_node_says_for_which_host_it_runs_what() {
    let replica = ReplicaReport {
        replica: id("replica"),
        digest: Digest::of(b"package"),
        service: "store".parse().unwrap(),
        process: "web".to_owned(),
        instance: Some(instance()),
        address: "127.0.0.1:20000".into(),
        state: ReplicaState::Healthy,
        starts: 1,
        next_start: None,
        log: String::new(),
    };
    let node = Node {
        node: id("node"),
        name: "one".parse().unwrap(),
        seen: noon(),
        alive: true,
        releases: Vec::new(),
        isolation: None,
        replicas: vec![replica],
        machine: Machine::default(),
        promised: Promised::default(),
        drain: None,
        shares_at: Some(([10, 0, 0, 5], 7_071).into()),
    };
    let platform = Platform::start(move |asked| match asked.line.as_str() {
        "GET /releases/v1/nodes" => reply(&Page { items: vec![node.clone()], next: None }),
        "POST /configurator/v1/hosts" => {
            let host = "bakery-store.localhost".parse().unwrap();
            reply(&Hosts { hosts: [(instance(), host)].into() })
        }
        line if line.starts_with("DELETE /identity/v1/nodes/node_") => reply(&Empty {}),
        _ => not_found(),
    })
    .await;
    let operator = Person::at(&platform);
    let listed = operator.runs(&["node", "list"]).await.good();
    assert!(listed.contains("bakery-store.localhost") && !listed.contains("inst_"), "{listed}");
    assert!(listed.contains("shares packages with other nodes at 10.0.0.5:7071"), "{listed}");
    let removed = operator.runs(&["node", "remove", "one", "--force"]).await.good();
    assert!(removed.starts_with("`one` is no longer a node"), "{removed}");
    assert_eq!(platform.asked().pop().unwrap().query, "force=true");
}
