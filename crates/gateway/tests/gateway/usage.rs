//! What is owed: written before an answer goes out, sent once.

use crate::world::{World, upstream::Upstream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

#[tokio::test]
async fn requests_and_bytes_are_counted_as_the_manifest_says() {
    let (world, _upstream) = World::with_forum().await;
    let ledger = world.peers.ledger.clone();
    let mut out = 0;
    for _ in 0..3 {
        out += world.get("/topics").await.body.len();
    }
    let answer = world.ask("POST /topics/7/posts", "forum.localhost", &[], "hello").await;
    out += answer.body.len();
    let refused =
        world.ask("POST /topics/7/posts?status=404", "forum.localhost", &[], "hello").await;
    out += refused.body.len();
    let streamed = world.get("/?stream=100").await;
    assert!(streamed.body.contains("0123456789"));
    out += 1_000;
    // Nobody pays for what we answer ourselves.
    assert_eq!(world.ask("POST /users", "forum.localhost", &[], "x").await.status, 401);
    assert_eq!(world.get("/badges").await.status, 404);
    assert_eq!(world.get("/.mandate/sign-out").await.status, 200);

    ledger.has("requests", 6).await;
    ledger.has("bytes_out", out as u64).await;
    assert_eq!(ledger.sum("requests"), 6);
    assert_eq!(ledger.sum("posts"), 1);
    assert_eq!(ledger.sum("bytes_in"), 10);
    assert_eq!(ledger.sum("bytes_out"), out as u64);
    let events = ledger.events();
    let route = world.instance("forum.localhost");
    assert!(
        events
            .iter()
            .all(|event| event.instance == route.instance && event.account == route.account)
    );
    assert!(events.iter().all(|event| event.event.starts_with("req_")));
    let post = events.iter().find(|event| event.meter == "posts").unwrap();
    assert_eq!(post.note, "POST /topics/*/posts");
}

#[tokio::test]
async fn a_record_is_written_before_the_answer_is_released() {
    let (mut world, _upstream) = World::with_forum().await;
    for number in 1..=20_u64 {
        let answer = world.get("/").await;
        // Whatever the answer has shown is in the file or in the ledger by now.
        let mut requests = std::collections::BTreeSet::new();
        let mut bytes = std::collections::BTreeMap::new();
        let all = world.journal().into_iter().chain(world.peers.ledger.events());
        for event in all {
            match event.meter.as_str() {
                "requests" => drop(requests.insert(event.event)),
                "bytes_out" => drop(bytes.insert(event.event, event.quantity)),
                _ => {}
            }
        }
        assert_eq!(requests.len() as u64, number);
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(bytes.get(id), Some(&(answer.body.len() as u64)), "{id} {bytes:?}");
    }
    // A process that is killed here loses nothing: the next one sends it, once.
    world.kill().await;
    let events = world.journal().len() + world.peers.ledger.events().len();
    assert!(events >= 40);
    let (folder, peers) = (world.folder.clone(), world.peers.clone());
    let again = World::on(folder, peers).await;
    again.peers.ledger.has("requests", 20).await;
    assert_eq!(again.peers.ledger.sum("requests"), 20);
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_counts_once() {
    let (mut world, _upstream) = World::with_forum().await;
    world.peers.ledger.lose_answers(2);
    for _ in 0..30 {
        assert_eq!(world.get("/").await.status, 200);
    }
    world.peers.ledger.has("requests", 30).await;
    world.stop().await;
    let (folder, peers) = (world.folder.clone(), world.peers.clone());
    let mut again = World::on(folder, peers).await;
    again.peers.configurator.followed("test.gateway").await;
    again.stop().await;
    assert_eq!(again.peers.ledger.sum("requests"), 30);
    assert!(again.journal().is_empty());
}

#[tokio::test]
async fn what_had_passed_is_counted_when_an_answer_breaks_off() {
    let (world, upstream) = World::with_forum().await;
    drop(upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("one", listener.local_addr().unwrap(), None).await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4_096];
        let _ = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789").await.unwrap();
    };
    let (answer, ()) = tokio::join!(world.get("/"), serve);
    assert_eq!((answer.status, answer.body.as_str()), (200, "0123456789"));
    world.peers.ledger.has("bytes_out", 10).await;
    assert_eq!(world.peers.ledger.sum("bytes_out"), 10);
    assert_eq!(world.peers.ledger.sum("requests"), 1);
}

#[tokio::test]
async fn an_application_that_does_not_answer_costs_nothing() {
    let (world, upstream) = World::with_forum().await;
    let address = upstream.address;
    drop(upstream);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert!(world.journal().is_empty());
    let upstream = Upstream::start().await;
    world.replica("two", upstream.address, None).await;
    assert_eq!(world.get("/").await.status, 200);
}
