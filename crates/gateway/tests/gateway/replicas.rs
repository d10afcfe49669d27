//! Replicas: who answers, who is passed over, and how a gateway ends.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::world::{Answer, FORUM, World, upstream::Upstream};
use api::releases::{ReplicaAddress, ServiceRelease};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use types::Digest;

#[tokio::test]
async fn replicas_take_turns_and_those_that_are_gone_are_passed_over() {
    let (world, one) = World::with_forum().await;
    let two = Upstream::start().await;
    let second = world.replica("two", two.address, None).await;
    for _ in 0..10 {
        assert_eq!(world.get("/").await.status, 200);
    }
    assert_eq!((one.hits(), two.hits()), (5, 5));
    // Gone without a word: nobody notices, not even who changes something.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("three", gone.local_addr().unwrap(), None).await;
    drop(gone);
    for _ in 0..10 {
        let answer = world.ask("POST /topics/1/posts", "forum.localhost", &[], "hello").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.seen()["body"], "hello");
    }
    let revision = world.peers.releases.remove::<ReplicaAddress>(&second.replica.to_string());
    world.peers.releases.acknowledged("test.gateway", revision).await;
    let before = two.hits();
    for _ in 0..5 {
        assert_eq!(world.get("/").await.status, 200);
    }
    assert_eq!(two.hits(), before);
}

#[tokio::test]
async fn files_are_asked_of_their_own_process_and_workers_of_nothing() {
    let (world, web) = World::with_forum().await;
    let [files, worker] = [Upstream::start().await, Upstream::start().await];
    world.replica_of("files", ("files", files.address), None).await;
    world.replica_of("worker", ("worker", worker.address), None).await;
    world.publish(&format!("{FORUM}\n[static]\n\"/assets\" = \"static\"\n")).await;
    assert_eq!(world.get("/assets/a.css").await.seen()["target"], "/assets/a.css");
    assert_eq!((web.hits(), files.hits()), (0, 1));
    for path in ["/", "/assetsx", "/topics"] {
        assert_eq!(world.get(path).await.status, 200);
    }
    assert_eq!((web.hits(), files.hits(), worker.hits()), (3, 1, 0));
    // Who may ask is decided as for any request.
    let answer = world.ask("POST /assets/a.css", "forum.localhost", &[], "").await;
    assert_eq!((answer.status, files.hits()), (403, 1));
}

#[tokio::test]
async fn without_a_replica_it_says_when_to_try_again() {
    let world = World::start().await;
    world.put(&world.instance("forum.localhost")).await;
    let answer = world.get("/").await;
    assert_eq!(answer.status, 503, "no manifest yet: {answer:?}");
    world.publish(FORUM).await;
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    let page = world.ask("GET /", "forum.localhost", &[("Accept", "text/html")], "").await;
    assert!(page.body.contains("replica of <code>forum</code>"), "{page:?}");
}

#[tokio::test]
async fn a_replica_that_is_just_starting_is_waited_for() {
    let world = World::start().await;
    world.publish(FORUM).await;
    world.put(&world.instance("forum.localhost")).await;
    let upstream = Upstream::start().await;
    let asking = async {
        let began = std::time::Instant::now();
        (world.get("/").await, began.elapsed())
    };
    let starting = async {
        tokio::task::yield_now().await;
        world.replica("one", upstream.address, None).await;
    };
    let ((answer, took), ()) = tokio::join!(asking, starting);
    assert_eq!(answer.status, 200, "after {took:?}: {answer:?}");
}

/// An application that answers the first request on a connection and closes on the next one, as one
/// does that thought the connection idle. It says which requests it saw; those for `/broken` are
/// never answered.
async fn forgetful(world: &World) -> Arc<Mutex<Vec<String>>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("forgetful", listener.local_addr().unwrap(), None).await;
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let telling = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&telling);
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                for answered in [false, true] {
                    let count = stream.read(&mut head).await.unwrap_or(0);
                    if count == 0 {
                        return;
                    }
                    let line = String::from_utf8_lossy(&head[..count]);
                    let line = line.split(" HTTP").next().unwrap().to_owned();
                    let broken = line.contains("/broken");
                    seen.lock().unwrap().push(line);
                    if answered || broken {
                        return;
                    }
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    seen
}

/// What is not to be done twice.
const CHANGES: [&str; 3] = ["POST /topics/1/posts", "DELETE /files/x", "PUT /files/x"];

#[tokio::test]
async fn a_connection_that_the_application_closes_is_nobodys_error() {
    let world = World::start().await;
    world.publish(&FORUM.replace("\"GET /*\"", "\"* /*\"")).await;
    world.put(&world.instance("forum.localhost")).await;
    let seen = forgetful(&world).await;
    for _ in 0..5 {
        // The first make connections that the second are sent on.
        for _ in 0..2 {
            let asked = futures_util::future::join_all((0..8).map(|_| world.get("/"))).await;
            for answer in asked {
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        }
        // What cannot be repeated is not sent where it could be lost.
        assert_eq!(world.get("/").await.status, 200);
        for line in CHANGES {
            let answer = world.ask(line, "forum.localhost", &[], "").await;
            assert_eq!(answer.status, 200, "{line}: {answer:?}");
        }
    }
    for line in CHANGES {
        let sent = seen.lock().unwrap().iter().filter(|seen| *seen == line).count();
        assert_eq!(sent, 5, "each is sent once: {line}");
    }
    // A connection that is closed before it was ever of use says something about the application.
    seen.lock().unwrap().clear();
    for line in ["POST /broken", "PUT /broken", "DELETE /broken", "PROPFIND /broken"] {
        let answer = world.ask(line, "forum.localhost", &[], "").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "bad_answer"), "{line}");
        assert_eq!(seen.lock().unwrap().drain(..).collect::<Vec<_>>(), [line], "sent once");
    }
}

#[tokio::test]
async fn a_connection_is_given_up_before_an_application_would() {
    let world = World::start().await;
    world.publish(FORUM).await;
    world.put(&world.instance("forum.localhost")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("keeping", listener.local_addr().unwrap(), None).await;
    let (answer, _open) = tokio::join!(world.get("/"), answer_one(&listener));
    assert_eq!(answer.status, 200);
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    // A second connection is made, though nobody has closed the first.
    let (answer, _open) = tokio::join!(world.get("/"), answer_one(&listener));
    assert_eq!(answer.status, 200);
}

/// Answers the first request of the next connection and keeps that open.
async fn answer_one(listener: &TcpListener) -> TcpStream {
    let accepted = tokio::time::timeout(Duration::from_mins(1), listener.accept()).await;
    let (mut stream, _) = accepted.expect("a connection is made").unwrap();
    let mut head = [0; 4_096];
    let _ = stream.read(&mut head).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    stream
}

#[tokio::test]
async fn a_dedicated_instance_is_answered_by_its_own_replica_only() {
    let world = World::start().await;
    world.publish(&FORUM.replace("\"shared\"", "\"dedicated\"")).await;
    let (first, second) = (world.instance("first.localhost"), world.instance("second.localhost"));
    world.put(&first).await;
    world.put(&second).await;
    let (one, common) = (Upstream::start().await, Upstream::start().await);
    world.replica("one", one.address, Some(first.instance)).await;
    world.replica("common", common.address, None).await;
    assert_eq!(world.ask("GET /", "first.localhost", &[], "").await.status, 200);
    assert_eq!(world.ask("GET /", "second.localhost", &[], "").await.status, 503);
    assert_eq!((one.hits(), common.hits()), (1, 0));
}

#[tokio::test]
async fn two_releases_of_a_service_serve_side_by_side() {
    let (world, old) = World::with_forum().await;
    let second = world.instance("second.localhost");
    world.put(&second).await;
    let text = FORUM.replace("match = \"GET /*\"", "match = \"GET /topics\"");
    let manifest = api::manifest::Manifest::parse("mandate.toml", &text).unwrap();
    let (service, digest) = (manifest.service.name.clone(), Digest::of(b"2"));
    world.release(&ServiceRelease { service, digest: digest.clone(), manifest }).await;
    let new = Upstream::start().await;
    world.replica_on(&digest, ("new", new.address)).await;
    let status = async |path: &str, host: &str| world.ask(path, host, &[], "").await.status;
    // What is there and on no instance's way is asked nothing.
    assert_eq!(status("GET /other", "second.localhost").await, 200);
    assert_eq!((old.hits(), new.hits()), (1, 0));
    world.put(&api::configurator::Route { release: digest, ..second }).await;
    assert_eq!(status("GET /topics", "second.localhost").await, 200);
    assert_eq!(status("GET /other", "second.localhost").await, 403, "by its own manifest");
    assert_eq!(status("GET /other", "forum.localhost").await, 200, "and the other by its own");
    assert_eq!((old.hits(), new.hits()), (2, 1));
}

#[tokio::test]
async fn an_answer_is_passed_on_as_it_comes() {
    let world = World::start().await;
    world.publish(FORUM).await;
    world.put(&world.instance("forum.localhost")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("slow", listener.local_addr().unwrap(), None).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4_096];
        let _ = stream.read(&mut head).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .await
            .unwrap();
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
    assert!(!text.contains("last"));
    go.send(()).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("last"));
    serve.await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_ends_finishes_what_is_under_way() {
    let mut world = World::start().await;
    world.publish(FORUM).await;
    world.put(&world.instance("forum.localhost")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("slow", listener.local_addr().unwrap(), None).await;
    let mut visitor = TcpStream::connect(world.address).await.unwrap();
    visitor.write_all(b"GET / HTTP/1.1\r\nHost: forum.localhost\r\n\r\n").await.unwrap();
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    let (mut asked, _) = listener.accept().await.unwrap();
    let address = world.address;
    let ledger = world.peers.ledger.clone();
    let stopping = tokio::spawn(async move { world.stop().await });
    // The idle connection is closed at once, and nobody new is let in.
    let mut nothing = Vec::new();
    let closed = tokio::time::timeout(Duration::from_mins(1), idle.read_to_end(&mut nothing)).await;
    assert_eq!(closed.expect("closed").unwrap(), 0);
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
    let mut answer = Vec::new();
    visitor.read_to_end(&mut answer).await.unwrap();
    assert_eq!(Answer::read(&answer).body, "done");
    stopping.await.unwrap();
    assert_eq!(ledger.sum("requests"), 1, "the last usage was sent");
}

#[tokio::test]
async fn heads_without_bodies_keep_their_lengths() {
    let world = World::start().await;
    world.publish(FORUM).await;
    world.put(&world.instance("forum.localhost")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("bare", listener.local_addr().unwrap(), None).await;
    let answers = [
        ("HEAD /", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", 200),
        ("GET /", "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n", 304),
        ("GET /", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET /", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
    ];
    for (line, answer, status) in answers {
        let ask = world.ask(line, "forum.localhost", &[], "");
        let serve = async {
            // A connection that is kept may be taken up again.
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4_096];
            let _ = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (seen, ()) = tokio::join!(ask, serve);
        assert_eq!(seen.status, status, "{seen:?}");
        if line.starts_with("HEAD") {
            assert_eq!(seen.header("content-length"), Some("42"));
        }
    }
}
