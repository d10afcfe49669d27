//! Answers that go on: they end soon after what they were judged by does.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::time::Duration;

use api::configurator::Moving;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::World;

const HOST: &str = "forum.localhost";
/// Within which an answer has ended that has to.
const SOON: Duration = Duration::from_secs(1);

/// An application whose answers are of this type and never end.
async fn endless(world: &World, kind: &str) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n"
    );
    world.hasty("one", &answer, true).await;
}

/// Asks, and returns once the answer has begun.
async fn begun(world: &World, path: &str, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut come = Vec::new();
    while !come.ends_with(b"data:\r\n") {
        come.push(stream.read_u8().await.unwrap());
    }
    assert!(come.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&come));
    stream
}

/// Whether it ends soon. Nobody may take what was broken off for whole.
async fn ends(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.is_ok();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    ended
}

#[tokio::test]
async fn an_answer_ends_soon_after_what_ends_it() {
    let (world, _upstream) = World::with_forum().await;
    endless(&world, "application/octet-stream").await;
    let route = world.instance(HOST);
    let (user, token) = world.user("ada");
    let grant = world.grant(user, "forum.seeAdmin", &route).await;
    let more = format!("Authorization: Bearer {token}\r\n");
    let mut public = begun(&world, "/", "").await;
    let mut admin = begun(&world, "/admin", &more).await;
    world.revoke(grant).await;
    assert!(ends(&mut admin).await);
    world.grant(user, "forum.seeAdmin", &route).await;
    let mut admin = begun(&world, "/admin", &more).await;
    world.end_session("ada").await;
    assert!(ends(&mut admin).await);
    assert!(!ends(&mut public).await, "it is no business of theirs");
    let mut closed = route.clone();
    closed.maintenance = Some("back at noon".to_owned());
    world.put(&closed).await;
    assert!(ends(&mut public).await);
}

#[tokio::test]
async fn only_what_never_ends_is_ended_while_an_instance_moves() {
    let (world, _upstream) = World::with_forum().await;
    endless(&world, "application/octet-stream").await;
    let mut download = begun(&world, "/", "").await;
    endless(&world, "Text/Event-Stream; charset=utf-8").await;
    let mut events = begun(&world, "/", "").await;
    let mut held = world.instance(HOST);
    held.moving = Some(Moving { held: true, runs: [].into() });
    world.put(&held).await;
    assert!(ends(&mut events).await);
    assert!(!ends(&mut download).await);
}

#[tokio::test]
async fn a_gateway_that_lost_its_lease_ends_what_goes_on() {
    let (world, _upstream) = World::with_forum().await;
    endless(&world, "text/event-stream").await;
    let mut events = begun(&world, "/", "").await;
    world.peers.configurator.set_away(true);
    // The lease holds for ten seconds at most.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(12), events.read_to_end(&mut rest)).await;
    assert!(ended.is_ok());
}
