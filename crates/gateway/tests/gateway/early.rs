//! Answers that come before a request has ended, requests that end before their answer, and bodies
//! that do not end: at the socket, as visitors and applications meet them.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::{Answer, FORUM, World};

const LARGE: usize = 30 << 20;

/// Sends the whole of a large body before it reads anything, as many clients do.
fn send_all(address: SocketAddr, line: &str, more: &str) -> std::io::Result<Answer> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_write_timeout(Some(Duration::from_mins(1)))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let head = format!(
        "{line} HTTP/1.1\r\nHost: forum.localhost\r\n{more}Content-Length: {LARGE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let part = vec![b'a'; 64 << 10];
    for _ in 0..LARGE / part.len() {
        stream.write_all(&part)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(Answer::read(&answer))
}

async fn sent_all(world: &World, line: &'static str, more: &'static str) -> Answer {
    let address = world.address;
    let sent = tokio::task::spawn_blocking(move || send_all(address, line, more)).await.unwrap();
    sent.unwrap_or_else(|cause| panic!("{line}: {cause}"))
}

async fn empty_forum() -> World {
    let world = World::start().await;
    world.publish(FORUM).await;
    world.put(&world.instance("forum.localhost")).await;
    world
}

#[tokio::test]
async fn who_sends_everything_first_hears_that_they_may_not() {
    let (world, upstream) = World::with_forum().await;
    assert_eq!(sent_all(&world, "POST /users", "").await.status, 401);
    assert_eq!(sent_all(&world, "PUT /elsewhere", "").await.status, 403);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = sent_all(&world, "POST /.mandate/setup", form).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "form_too_long"));
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn who_sends_everything_first_hears_the_applications_refusal() {
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much";
    let world = empty_forum().await;
    let closing = world.hasty("hasty", refusal, false).await;
    for number in 0..20 {
        let answer = sent_all(&world, "PUT /files/x", "").await;
        assert_eq!((answer.status, answer.body.as_str()), (413, "too much"), "{number}");
    }
    closing.abort();
    // Nobody reads and nobody closes: the request ends with its answer.
    let keeping = world.hasty("hasty", refusal, true).await;
    let answer = sent_all(&world, "PUT /files/x", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "too much"));
    keeping.abort();
}

#[tokio::test]
async fn who_has_asked_and_says_no_more_is_answered() {
    let (world, _upstream) = World::with_forum().await;
    for request in [
        "GET /topics HTTP/1.1\r\nHost: forum.localhost\r\n\r\n",
        "POST /topics/1/posts HTTP/1.1\r\nHost: forum.localhost\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(Answer::read(&answer).status, 200, "{request}");
    }
}

#[tokio::test]
async fn an_old_application_does_not_end_the_visitors_connection() {
    let world = empty_forum().await;
    let old = world.hasty("hasty", "HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nold", false).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: forum.localhost\r\n\r\n").await.unwrap();
        let mut text = String::new();
        while !text.ends_with("\r\n0\r\n\r\n") {
            let mut part = [0; 1_024];
            let count = stream.read(&mut part).await.unwrap();
            assert!(count > 0, "the connection goes on: {text}");
            text.push_str(std::str::from_utf8(&part[..count]).unwrap());
        }
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("old"), "{text}");
    }
    old.abort();
}

#[tokio::test]
async fn a_body_is_passed_on_whatever_the_method() {
    let (world, _upstream) = World::with_forum().await;
    let request = "GET /search HTTP/1.1\r\nHost: forum.localhost\r\nConnection: close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let answer = Answer::read(&world.raw(request.as_bytes()).await);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.seen()["body"], "hello world");
}

#[tokio::test]
async fn a_body_that_trickles_is_not_waited_for() {
    let (world, _upstream) = World::with_forum().await;
    let (mut reading, mut writing) = TcpStream::connect(world.address).await.unwrap().into_split();
    let head = "PUT /files/x HTTP/1.1\r\nHost: forum.localhost\r\nContent-Length: 9999999\r\n\r\n";
    writing.write_all(head.as_bytes()).await.unwrap();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let mut answer = Vec::new();
    let answered =
        tokio::time::timeout(Duration::from_secs(50), reading.read_to_end(&mut answer)).await;
    assert!(answered.is_ok(), "it goes on for ever");
    let answer = Answer::read(&answer);
    assert_eq!((answer.status, answer.code().as_str()), (408, "body_too_slow"));
    trickle.abort();
}

#[tokio::test]
async fn slow_bodies_of_one_instance_leave_room_for_others() {
    let (world, _upstream) = World::with_forum().await;
    world.put(&world.instance("other.localhost")).await;
    let begin = async |host: &str| {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let head = format!("PUT /files/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n12");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut slow = Vec::new();
    for _ in 0..256 {
        slow.push(begin("forum.localhost").await);
    }
    // Who is refused is answered at once, and others are not.
    let refused = loop {
        let mut one = begin("forum.localhost").await;
        let mut answer = [0; 1_024];
        let read = tokio::time::timeout(Duration::from_secs(5), one.read(&mut answer)).await;
        match read {
            Ok(count) => break Answer::read(&answer[..count.unwrap()]),
            Err(_) => slow.push(one),
        }
        assert!(slow.len() < 260, "there is no end to it");
    };
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    assert_eq!(world.get("/").await.status, 200);
    let other = world.ask("PUT /files/x", "other.localhost", &[], "hello").await;
    assert_eq!(other.status, 200);
    drop(slow);
    while world.ask("PUT /files/x", "forum.localhost", &[], "hello").await.status != 200 {
        tokio::task::yield_now().await;
    }
}
