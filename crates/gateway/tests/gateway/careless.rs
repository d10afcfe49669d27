//! Applications that do not do what an application should, and visitors who leave.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::world::{FORUM, World};

/// An application that never reads a body: what is left of one is its next request.
struct Careless {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    /// Ends the wait of whoever asked for `/slow`.
    go_on: Arc<Notify>,
}

impl Careless {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let careless = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            go_on: Arc::default(),
        };
        let (asked, go_on) = (Arc::clone(&careless.asked), Arc::clone(&careless.go_on));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&asked), Arc::clone(&go_on)));
            }
        });
        careless
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>, go_on: Arc<Notify>) {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    loop {
        while !text.contains("\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => text += std::str::from_utf8(&buffer[..count]).unwrap(),
                _ => return,
            }
        }
        let (head, rest) = text.split_once("\r\n\r\n").unwrap();
        let (line, last) = (head.lines().next().unwrap().to_owned(), closes(head));
        text = rest.to_owned();
        let slow = line.contains("/slow");
        asked.lock().unwrap().push(line);
        if slow {
            go_on.notified().await;
        }
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        if stream.write_all(answer.as_bytes()).await.is_err() || last {
            return;
        }
    }
}

fn closes(head: &str) -> bool {
    head.to_ascii_lowercase().contains("\r\nconnection: close")
}

async fn world() -> (World, Careless) {
    let world = World::start().await;
    world.publish(FORUM).await;
    let careless = Careless::start().await;
    world.replica("careless", careless.address, None).await;
    world.put(&world.instance("forum.localhost")).await;
    (world, careless)
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_the_next_request() {
    let (world, careless) = world().await;
    let hidden = "GET /admin HTTP/1.1\r\nHost: forum.localhost\r\nX-Mandate-User: somebody\r\n\r\n";
    for line in ["GET /", "POST /topics/7/posts", "GET /topics"] {
        assert_eq!(world.ask(line, "forum.localhost", &[], hidden).await.status, 200);
        assert_eq!(world.get("/").await.status, 200);
    }
    let asked = careless.asked();
    assert!(asked.iter().all(|line| !line.contains("admin")), "{asked:?}");
    assert_eq!(asked.len(), 6);
}

#[tokio::test]
async fn who_leaves_after_having_asked_has_asked() {
    let (world, careless) = world().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = "POST /topics/slow/posts HTTP/1.1\r\nHost: forum.localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    while careless.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(stream);
    careless.go_on.notify_one();
    world.peers.ledger.has("posts", 1).await;
    world.peers.ledger.has("requests", 1).await;
}

#[tokio::test]
async fn what_somebody_left_behind_is_done_before_a_gateway_ends() {
    let (mut world, careless) = world().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = "POST /topics/slow/posts HTTP/1.1\r\nHost: forum.localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    while careless.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    // The gateway hears of it at once.
    stream.set_zero_linger().unwrap();
    drop(stream);
    let answered = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        careless.go_on.notify_one();
    };
    tokio::join!(world.stop(), answered);
    assert_eq!(world.peers.ledger.sum("posts"), 1);
}
