//! An instance that moves to another release with its database: its requests wait.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::time::Duration;

use api::{
    configurator::{Moving, Route},
    releases::ServiceRelease,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use types::Digest;

use crate::world::{FORUM, World, upstream::Upstream};

const HOST: &str = "forum.localhost";
/// What does not come in this time waits.
const MOMENT: Duration = Duration::from_millis(300);

fn held(route: Route) -> Route {
    Route { moving: Some(Moving { held: true, runs: [].into() }), ..route }
}

fn is_told_quiet(world: &World) -> bool {
    world.peers.quiet.lock().unwrap().contains(&world.instance(HOST).instance)
}

async fn until_told_quiet(world: &World) {
    let told = async {
        while !is_told_quiet(world) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("nothing is under way");
}

/// Another release, with a replica.
async fn second(world: &World) -> (Digest, Upstream) {
    let manifest = api::manifest::Manifest::parse("mandate.toml", FORUM).unwrap();
    let (service, digest) = (manifest.service.name.clone(), Digest::of(b"2"));
    world.release(&ServiceRelease { service, digest: digest.clone(), manifest }).await;
    let new = Upstream::start().await;
    world.replica_on(&digest, ("new", new.address)).await;
    (digest, new)
}

#[tokio::test]
async fn requests_wait_while_an_instance_moves_and_are_answered_by_what_it_is_on_then() {
    let (world, old) = World::with_forum().await;
    let (digest, new) = second(&world).await;
    let other = world.instance("other.localhost");
    world.put(&other).await;
    assert!(!is_told_quiet(&world), "nobody asks");
    world.put(&held(world.instance(HOST))).await;
    until_told_quiet(&world).await;
    let asking = async { futures_util::future::join_all((0..20).map(|_| world.get("/"))).await };
    let moving = async {
        tokio::time::sleep(MOMENT).await;
        assert_eq!((old.hits(), new.hits()), (0, 0));
        // Nobody else notices.
        assert_eq!(world.ask("GET /", "other.localhost", &[], "").await.status, 200);
        assert_eq!(world.ask("GET /.mandate/sign-in", HOST, &[], "").await.status, 303);
        world.put(&Route { release: digest, ..world.instance(HOST) }).await;
    };
    let (answers, ()) = tokio::join!(asking, moving);
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!((old.hits(), new.hits()), (1, 20));
}

#[tokio::test]
async fn what_is_under_way_is_waited_for_until_its_answer_has_ended() {
    let world = World::start().await;
    world.publish(FORUM).await;
    world.put(&world.instance(HOST)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("slow", listener.local_addr().unwrap(), None).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4_096];
        let _ = stream.read(&mut head).await.unwrap();
        let first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        stream.write_all(first).await.unwrap();
        gone.await.unwrap();
        stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
    });
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: forum.localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    while !text.contains("first") {
        let mut part = [0; 1_024];
        let count = stream.read(&mut part).await.unwrap();
        text.push_str(&String::from_utf8_lossy(&part[..count]));
    }
    world.put(&held(world.instance(HOST))).await;
    // For longer than it takes until it would be told again.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert!(!is_told_quiet(&world), "an answer is being sent");
    go.send(()).unwrap();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("last"));
    until_told_quiet(&world).await;
    serve.await.unwrap();
}

#[tokio::test]
async fn what_has_waited_for_long_is_told_that_it_is_closed() {
    let (world, upstream) = World::with_forum().await;
    world.put(&held(world.instance(HOST))).await;
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "moving"));
    assert_eq!(answer.header("retry-after"), Some("2"));
    // Who comes later need not wait for as long again.
    let begun = tokio::time::Instant::now();
    let page = world.ask("GET /", HOST, &[("accept", "text/html")], "").await;
    assert!(page.status == 503 && page.body.contains("new version"), "{page:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let mut closed = held(world.instance(HOST));
    closed.suspended = Some("unpaid".into());
    world.put(&closed).await;
    assert_eq!(world.get("/").await.status, 402, "what is closed is closed");
    world.put(&world.instance(HOST)).await;
    assert_eq!(world.get("/").await.status, 200);
    assert_eq!(upstream.hits(), 1);
}
