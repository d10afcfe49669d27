//! What nodes say again and again: little of it is written down, and what is gone leaves nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use api::{
    Client, Kind,
    configurator::InstanceState,
    identity::{CreateJoinToken, RemoveNode},
    releases::{Desired, Heartbeat, ListNodes, Node, ReadSnapshot, ReplicaAddress, ReplicaReport},
};
use futures_util::StreamExt as _;
use types::{InstanceId, NodeId};

use crate::{
    machine::healthy,
    orders::{order, take},
    world::{MANIFEST, PRICES, Person, World, eventually, until},
};

/// Longer than a silent node counts.
const SILENCE: Duration = Duration::from_secs(16);

fn beat(node: NodeId, replicas: Vec<ReplicaReport>) -> Heartbeat {
    Heartbeat { replicas, ..Heartbeat::new(node, "one".parse().unwrap()) }
}

/// What a node says that knows what it should run, and has nothing new to say.
fn again(node: NodeId, desired: &Desired) -> Heartbeat {
    Heartbeat { known: desired.version, as_before: desired.report, ..beat(node, Vec::new()) }
}

/// Publishes a dedicated service that asks for nothing, so that an instance opens by itself.
async fn publish_plain(world: &World) {
    let manifest = MANIFEST.replace("NAME", "forum").replace("shared", "dedicated");
    let database = manifest.find("[database]").unwrap()..manifest.find("[modules.polls]").unwrap();
    let mut plain = manifest.clone();
    plain.replace_range(database, "");
    let prices = PRICES.replace("NAME", "forum");
    let prices = prices.replace("jobs = { per_second = \"0.00001\" }", "");
    world.publish_texts("forum", &plain, &prices).await.unwrap();
}

async fn open(ada: &Person) -> InstanceId {
    take(ada, order(ada.account, "bakery.localhost", &[]), InstanceState::Open).await
}

/// Asks until there is something to run.
async fn told(client: &Client, node: NodeId) -> Desired {
    let ask = async || client.call(beat(node, Vec::new())).await.unwrap();
    eventually("it is told what to run", ask, |desired| !desired.replicas.is_empty()).await
}

async fn nodes(world: &World) -> Vec<Node> {
    world.operator().await.call(ListNodes::default()).await.unwrap().items
}

/// How many replicas the gateways know.
async fn replicas(world: &World) -> usize {
    silent(world).await.len()
}

/// Whether the node of each is silent.
async fn silent(world: &World) -> Vec<bool> {
    let snapshot = world.component("gateway").call(ReadSnapshot { after: None }).await.unwrap();
    let replicas = snapshot.documents.into_iter().filter(|document| document.topic == "replica");
    let read = |body| serde_json::from_value::<ReplicaAddress>(body).unwrap().silent;
    replicas.filter_map(|document| document.body.map(read)).collect()
}

async fn tables(world: &World) -> db::Db {
    let password = world.house.database_password("releases");
    world.engine.open("releases", &password, &[]).await.unwrap()
}

async fn rows(db: &db::Db, count: &str) -> i64 {
    db::query(count).one(db, |row| row.get("rows")).await.unwrap()
}

/// When a node was heard of, as it is written down.
async fn seen_as_written(world: &World) -> types::Timestamp {
    let db = tables(world).await;
    let seen = db::query("select seen from node").one(&db, |row| row.get("seen")).await.unwrap();
    db.close().await;
    seen
}

stories! {
    async fn who_has_nothing_new_to_say_is_answered_in_brief(world: &World) {
        world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let desired = told(&client, node).await;
        let report = beat(node, vec![healthy(&desired.replicas[0])]);
        let desired = client.call(report.clone()).await.unwrap();
        let before = seen_as_written(world).await;
        let brief = client.call(again(node, &desired)).await.unwrap();
        assert_eq!((brief.version, brief.report), (desired.version, desired.report));
        assert!(brief.replicas.is_empty() && brief.releases.is_empty());
        assert_eq!(replicas(world).await, 1, "what it runs is what it said it runs");
        world.clock.advance(Duration::from_secs(1));
        client.call(again(node, &desired)).await.unwrap();
        assert_eq!(seen_as_written(world).await, before, "nothing is written down");
        assert_eq!(nodes(world).await[0].seen, before.plus(Duration::from_secs(1)));
        // What changes is told in full, to whoever says nothing new too.
        world.publish("forum", "second").await;
        let next = client.call(again(node, &desired)).await.unwrap();
        assert!(next.version != desired.version && next.replicas.len() == 1);
        // An older agent knows nothing of this.
        let full = client.call(Heartbeat { known: next.version, ..report.clone() }).await.unwrap();
        assert_eq!((full.version, full.replicas.len()), (next.version, 1));
        let strange = Heartbeat { as_before: Some(7), ..report };
        let refused = client.call(strange).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "unknown_report"));
    }

    async fn a_report_that_comes_late_is_not_taken_for_the_last_one(world: &World) {
        world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let desired = told(&client, node).await;
        let newest = beat(node, vec![healthy(&desired.replicas[0])]);
        let desired = client.call(newest).await.unwrap();
        let waits = Heartbeat { wait_millis: 3_000, ..again(node, &desired) };
        let late = beat(node, Vec::new());
        let later = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            client.call(late).await.unwrap();
            world.publish("store", "first").await
        };
        let (answer, _) = tokio::join!(client.call(waits), later);
        let answer = answer.unwrap();
        assert_eq!(replicas(world).await, 0, "the late one was heard last");
        let refused = client.call(again(node, &answer)).await.unwrap_err();
        assert_eq!(refused.code, "unknown_report", "it says all again");
    }

    async fn who_waits_hears_of_a_release_when_it_is_there(world: &World) {
        world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let desired = told(&client, node).await;
        let waits = Heartbeat { wait_millis: 5_000, known: desired.version, ..beat(node, vec![]) };
        let is_there = AtomicBool::new(false);
        let listening = async {
            loop {
                let before = !is_there.load(Ordering::SeqCst);
                let next = client.call(waits.clone()).await.unwrap();
                if next.version != desired.version {
                    return;
                }
                let missed = before && is_there.load(Ordering::SeqCst);
                assert!(!missed, "it waited while the release came, and was not told");
            }
        };
        let publishing = async {
            world.publish("forum", "second").await;
            is_there.store(true, Ordering::SeqCst);
        };
        tokio::join!(listening, publishing);
    }

    async fn who_was_silent_says_all_again(world: &World) {
        world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let desired = told(&client, node).await;
        let report = beat(node, vec![healthy(&desired.replicas[0])]);
        let desired = client.call(report.clone()).await.unwrap();
        assert_eq!(replicas(world).await, 1);
        world.clock.advance(SILENCE);
        assert!(!nodes(world).await[0].alive, "it is marked");
        until("it is asked last", async || silent(world).await == [true]).await;
        let refused = client.call(again(node, &desired)).await.unwrap_err();
        assert_eq!(refused.code, "unknown_report");
        client.call(report).await.unwrap();
        assert!(nodes(world).await[0].alive);
        assert_eq!(silent(world).await, [false]);
        world.clock.advance(Duration::from_mins(6));
        // It may run on, and nobody serves in its place.
        until("it is still asked last", async || silent(world).await == [true]).await;
        assert_eq!(replicas(world).await, 1);
    }

    async fn a_removed_node_leaves_nothing(world: &World) {
        world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let desired = told(&client, node).await;
        client.call(beat(node, vec![healthy(&desired.replicas[0])])).await.unwrap();
        let db = tables(world).await;
        assert_eq!(replicas(world).await, 1);
        world.operator().await.call(RemoveNode { node, force: false }).await.unwrap();
        until("it is not listed", async || nodes(world).await.is_empty()).await;
        until("nobody is sent there", async || replicas(world).await == 0).await;
        let left = "select count(*) as rows from node";
        until("no row is left", async || rows(&db, left).await == 0).await;
        db.close().await;
    }

    async fn nodes_agree_however_many_are_gone(world: &World) {
        publish_plain(world).await;
        let operator = world.operator().await;
        let beats = async |name: String| {
            let token = operator.call(CreateJoinToken {}).await.unwrap().token;
            let (node, client) = world.join(&name, token).await.unwrap();
            let beat = Heartbeat { name: name.parse().unwrap(), ..beat(node, Vec::new()) };
            client.call(beat.clone()).await.unwrap();
            async move || client.call(beat.clone()).await.unwrap().replicas.len()
        };
        let gone = futures_util::stream::iter(0..501).map(|gone| beats(format!("gone-{gone}")));
        let gone: Vec<_> = gone.buffer_unordered(16).collect().await;
        assert_eq!(gone.len(), 501);
        world.clock.advance(SILENCE);
        let ada = world.sign_up("ada").await;
        open(&ada).await;
        let (one, other) = (beats("one".into()).await, beats("other".into()).await);
        eventually("one of the two runs it", async || one().await + other().await, |sum| *sum == 1)
            .await;
    }
}
