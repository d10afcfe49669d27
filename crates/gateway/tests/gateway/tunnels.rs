//! Connections that go on with another protocol: a `WebSocket`, and what else a manifest names.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{net::SocketAddr, time::Duration};

use api::configurator::Moving;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        handshake::server::{Request, Response},
        protocol::frame::coding::CloseCode,
    },
};
use types::{Digest, Principal, SessionId};

use crate::world::{FORUM, World};

const HOST: &str = "forum.localhost";
/// Within which a tunnel has ended that has to.
const SOON: Duration = Duration::from_secs(1);

/// An application that sends back what it is sent, and says what it was asked with.
async fn echo(world: &World) -> mpsc::UnboundedReceiver<Vec<(String, String)>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("one", listener.local_addr().unwrap(), None).await;
    let (heard, hearing) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let heard = heard.clone();
            tokio::spawn(async move {
                let look = |request: &Request, response: Response| {
                    let lines = request.headers().iter();
                    let lines = lines.map(|(name, value)| {
                        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                    });
                    heard.send(lines.collect()).unwrap();
                    Ok(response)
                };
                let mut socket = accept_hdr_async(stream, look).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() || message.is_binary() {
                        let _ = socket.send(message).await;
                    }
                }
            });
        }
    });
    hearing
}

async fn with_echo() -> (World, mpsc::UnboundedReceiver<Vec<(String, String)>>) {
    let (world, _) = World::with_forum().await;
    let heard = echo(&world).await;
    (world, heard)
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(
    world: &World,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tungstenite::Error> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut request = format!("ws://{HOST}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    client_async(request, stream).await.map(|(socket, _)| socket)
}

fn refused(outcome: Result<Socket, tungstenite::Error>) -> (u16, String) {
    match outcome {
        Err(tungstenite::Error::Http(answer)) => {
            let text = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into();
            (answer.status().as_u16(), text)
        }
        other => panic!("it was to be refused: {:?}", other.map(drop)),
    }
}

async fn says(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
}

/// Why it was closed, which has to be soon.
async fn closed(socket: &mut Socket) -> (CloseCode, String) {
    let message = tokio::time::timeout(SOON, socket.next()).await.expect("it ends soon");
    match message {
        Some(Ok(Message::Close(Some(frame)))) => (frame.code, frame.reason.to_string()),
        other => panic!("it was to be closed: {other:?}"),
    }
}

#[tokio::test]
async fn messages_pass_both_ways_and_are_counted() {
    let (world, mut heard) = with_echo().await;
    let mut socket = connect(&world, "/live", &[("sec-websocket-own", "1")]).await.unwrap();
    says(&mut socket, "hello").await;
    let large = Message::binary(vec![7_u8; 3 << 20]);
    socket.send(large.clone()).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap() == large);
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    let lines = heard.recv().await.unwrap();
    let said =
        |name: &str| lines.iter().find(|(known, _)| known == name).map(|(_, it)| it.as_str());
    assert_eq!(said("connection"), Some("upgrade"));
    assert_eq!(said("upgrade"), Some("websocket"));
    assert_eq!(said("sec-websocket-own"), Some("1"));
    assert_eq!(said("x-forwarded-host"), Some(HOST));
    // 7 bytes and a mask of four, a head of ten and a mask, and an empty frame that closes.
    let ledger = &world.peers.ledger;
    ledger.has("bytes_in", 5 + 6 + (3 << 20) + 14 + 6).await;
    ledger.has("bytes_out", 5 + 2 + (3 << 20) + 10 + 2).await;
    assert_eq!(ledger.sum("bytes_in"), 5 + 6 + (3 << 20) + 14 + 6);
    assert_eq!(ledger.sum("bytes_out"), 5 + 2 + (3 << 20) + 10 + 2);
    assert_eq!(ledger.sum("requests"), 1);
}

#[tokio::test]
async fn what_needs_a_permission_needs_it_here_too() {
    let (world, _heard) = with_echo().await;
    let route = world.instance(HOST);
    let session = format!("mandate_session={}", world.session_at(HOST, "ada"));
    let own = [("cookie", session.as_str()), ("origin", "http://forum.localhost")];
    assert_eq!(refused(connect(&world, "/admin/live", &[]).await).0, 401);
    assert_eq!(refused(connect(&world, "/admin/live", &own).await).0, 403);
    let (user, token) = world.user("ada");
    world.grant(user, "forum.seeAdmin", &route).await;
    says(&mut connect(&world, "/admin/live", &own).await.unwrap(), "by cookie").await;
    let bearer = format!("Bearer {token}");
    let bearer = [("authorization", bearer.as_str())];
    says(&mut connect(&world, "/admin/live", &bearer).await.unwrap(), "by token").await;
    // A page elsewhere can have a browser open one with the cookie, and would read what comes.
    for elsewhere in [
        &[("cookie", session.as_str()), ("origin", "http://evil.localhost")][..],
        &[("cookie", session.as_str())],
    ] {
        let (status, text) = refused(connect(&world, "/admin/live", elsewhere).await);
        assert_eq!(status, 403);
        assert!(text.contains("foreign_origin"), "{text}");
    }
}

#[tokio::test]
async fn it_ends_soon_after_what_ends_it_and_says_why() {
    let (world, _heard) = with_echo().await;
    let route = world.instance(HOST);
    let (user, token) = world.user("ada");
    let grant = world.grant(user, "forum.seeAdmin", &route).await;
    let bearer = format!("Bearer {token}");
    let bearer = [("authorization", bearer.as_str())];
    let mut admin = connect(&world, "/admin/live", &bearer).await.unwrap();
    let mut public = connect(&world, "/live", &[]).await.unwrap();
    says(&mut admin, "x").await;
    world.revoke(grant).await;
    let (code, reason) = closed(&mut admin).await;
    assert_eq!(code, CloseCode::Policy);
    assert!(reason.contains("forum.seeAdmin"), "{reason}");
    says(&mut public, "it goes on").await;

    world.grant(user, "forum.seeAdmin", &route).await;
    let mut admin = connect(&world, "/admin/live", &bearer).await.unwrap();
    world.end_session("ada").await;
    let (code, reason) = closed(&mut admin).await;
    assert_eq!((code, reason.contains("session has ended")), (CloseCode::Policy, true), "{reason}");

    let short = format!(
        "Bearer {}",
        world.token(Principal::User(user), Some(SessionId::named(&["short"])), 2)
    );
    let mut admin = connect(&world, "/admin/live", &[("authorization", &short)]).await.unwrap();
    let message = tokio::time::timeout(3 * SOON, admin.next()).await.expect("it runs out");
    assert!(matches!(message, Some(Ok(Message::Close(Some(_))))), "{message:?}");

    says(&mut public, "still").await;
    let mut closing = route.clone();
    closing.maintenance = Some("back at noon".to_owned());
    world.put(&closing).await;
    let (code, reason) = closed(&mut public).await;
    assert_eq!(code, CloseCode::Again);
    assert!(reason.contains("back at noon"), "{reason}");
    world.put(&route).await;
    let mut public = connect(&world, "/live", &[]).await.unwrap();
    let mut suspended = route.clone();
    suspended.suspended = Some("unpaid".to_owned());
    world.put(&suspended).await;
    assert_eq!(closed(&mut public).await.0, CloseCode::Policy);
    world.put(&route).await;
    let mut public = connect(&world, "/live", &[]).await.unwrap();
    says(&mut public, "again").await;
    let mut held = route.clone();
    held.moving = Some(Moving { held: true, runs: [].into() });
    world.put(&held).await;
    assert_eq!(closed(&mut public).await.0, CloseCode::Again);
    let quiet = async {
        while !world.peers.quiet.lock().unwrap().contains(&route.instance) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, quiet).await.expect("nothing is under way any more");
}

#[tokio::test]
async fn it_outlives_a_change_that_is_none_of_its_business() {
    let (world, _heard) = with_echo().await;
    let mut socket = connect(&world, "/live", &[]).await.unwrap();
    says(&mut socket, "one").await;
    let mut other = world.instance("other.localhost");
    other.suspended = Some("unpaid".to_owned());
    world.put(&other).await;
    // Its instance is on a release that this gateway does not know yet, and then does.
    let mut moved = world.instance(HOST);
    moved.release = Digest::of(b"2");
    world.put(&moved).await;
    tokio::time::sleep(SOON).await;
    says(&mut socket, "two").await;
    let manifest = api::manifest::Manifest::parse("mandate.toml", FORUM).unwrap();
    let service = manifest.service.name.clone();
    let release = api::releases::ServiceRelease { service, digest: moved.release, manifest };
    world.release(&release).await;
    tokio::time::sleep(SOON).await;
    says(&mut socket, "three").await;
}

#[tokio::test]
async fn it_ends_also_while_the_release_of_its_instance_is_not_known() {
    let (world, _heard) = with_echo().await;
    let mut socket = connect(&world, "/live", &[]).await.unwrap();
    says(&mut socket, "one").await;
    let mut moved = world.instance(HOST);
    moved.release = Digest::of(b"2");
    world.put(&moved).await;
    says(&mut socket, "two").await;
    moved.suspended = Some("unpaid".to_owned());
    world.put(&moved).await;
    assert_eq!(closed(&mut socket).await.0, CloseCode::Policy);
}

#[tokio::test]
async fn it_ends_with_the_gateway() {
    let (mut world, _heard) = with_echo().await;
    let mut socket = connect(&world, "/live", &[]).await.unwrap();
    says(&mut socket, "x").await;
    let stopping = tokio::time::timeout(Duration::from_secs(5), world.stop());
    let (stopped, message) = tokio::join!(stopping, socket.next());
    stopped.expect("nobody is waited for");
    let Some(Ok(Message::Close(Some(frame)))) = message else { panic!("{message:?}") };
    assert_eq!(frame.code, CloseCode::Away);
}

#[tokio::test]
async fn nobody_is_left_alone_at_the_other_end() {
    let (world, _heard) = with_echo().await;
    let mut socket = connect(&world, "/live", &[]).await.unwrap();
    says(&mut socket, "x").await;
    drop(socket);
    // What it has carried is written once it has ended.
    world.peers.ledger.has("bytes_in", 7).await;

    let (address, mut accepted) = raw(|mut stream| async move {
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        stream
    })
    .await;
    world.replica("one", address, None).await;
    let mut visitor = TcpStream::connect(world.address).await.unwrap();
    visitor.write_all(ASK.as_bytes()).await.unwrap();
    let application = accepted.recv().await.unwrap();
    drop(application);
    let mut rest = Vec::new();
    let read = tokio::time::timeout(SOON, visitor.read_to_end(&mut rest)).await;
    read.expect("it hears that the application has left").ok();
    assert!(rest.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&rest));
}

const ASK: &str = "GET /live HTTP/1.1\r\nHost: forum.localhost\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// An application at the socket: each connection, once it was asked and `answer` has answered.
async fn raw<F: Future<Output = TcpStream> + Send + 'static>(
    answer: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            if tell.send(answer(stream).await).is_err() {
                return;
            }
        }
    });
    (address, told)
}

#[tokio::test]
async fn bytes_that_come_with_the_heads_are_passed_on() {
    let (world, _heard) = with_echo().await;
    let (address, mut accepted) = raw(|mut stream| async move {
        stream.write_all(format!("{SWITCH}\u{1}early").as_bytes()).await.unwrap();
        stream
    })
    .await;
    world.replica("one", address, None).await;
    let mut visitor = TcpStream::connect(world.address).await.unwrap();
    visitor.write_all(format!("{ASK}hasty").as_bytes()).await.unwrap();
    let mut application = accepted.recv().await.unwrap();
    let mut got = [0; 5];
    application.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hasty");
    let mut all = vec![0; 512];
    let mut length = 0;
    while !all[..length].ends_with(b"\x01early") {
        let read = visitor.read(&mut all[length..]).await.unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&all[..length]));
        length += read;
    }
    let head = String::from_utf8_lossy(&all[..length]).to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nx-request-id: req_"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
}

#[tokio::test]
async fn one_side_may_end_before_the_other() {
    let (world, _heard) = with_echo().await;
    world.publish(&FORUM.replace("[run]", "upgrades = [\"rawstream\"]\n\n[run]")).await;
    let (address, mut accepted) = raw(|mut stream| async move {
        stream.write_all(SWITCH.replace("websocket", "rawstream").as_bytes()).await.unwrap();
        stream
    })
    .await;
    world.replica("one", address, None).await;
    let mut visitor = TcpStream::connect(world.address).await.unwrap();
    visitor.write_all(ASK.replace("websocket", "RawStream").as_bytes()).await.unwrap();
    let mut application = accepted.recv().await.unwrap();
    visitor.write_all(b"question").await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut question = String::new();
    application.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    application.write_all(b"answer").await.unwrap();
    drop(application);
    let mut answer = String::new();
    visitor.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nanswer"), "{answer}");
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_granted() {
    let (world, _heard) = with_echo().await;
    for (ask, answer) in [
        (ASK, SWITCH.replace("websocket", "rawstream")),
        (ASK, SWITCH.replace("Upgrade: websocket\r\n", "")),
        ("GET /live HTTP/1.1\r\nHost: forum.localhost\r\n\r\n", SWITCH.to_owned()),
        (
            "GET /live HTTP/1.0\r\nHost: forum.localhost\r\nConnection: upgrade\r\n\
             Upgrade: websocket\r\n\r\n",
            SWITCH.to_owned(),
        ),
    ] {
        let (address, _accepted) = raw(move |mut stream| {
            let answer = answer.clone();
            async move {
                let _ = stream.write_all(answer.as_bytes()).await;
                stream
            }
        })
        .await;
        world.replica("one", address, None).await;
        let ask = ask.replace("\r\n\r\n", "\r\nAccept: a/b\r\n\r\n");
        let mut visitor = TcpStream::connect(world.address).await.unwrap();
        visitor.write_all(ask.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        visitor.read_exact(&mut head).await.unwrap();
        assert_eq!(&head[9..], b"502", "{ask}");
    }
}

#[tokio::test]
async fn an_application_that_declines_is_heard_and_asked_on() {
    let (world, _heard) = with_echo().await;
    let (address, _accepted) = raw(|mut stream| async move {
        let answer = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 3\r\n\r\nno!";
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream
    })
    .await;
    world.replica("one", address, None).await;
    let mut visitor = TcpStream::connect(world.address).await.unwrap();
    // Nothing that comes after it is taken for anything but another request.
    for _ in 0..2 {
        visitor.write_all(ASK.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nno!") {
            answer.push(visitor.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 426 "), "{}", String::from_utf8_lossy(&answer));
    }
}
