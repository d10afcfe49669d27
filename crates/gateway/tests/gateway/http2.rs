//! HTTP/2 with visitors, and with applications that speak it.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{self, SendRequest},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    frames::frame,
    world::{FORUM, World},
};

const HOST: &str = "forum.localhost";
const SOON: Duration = Duration::from_secs(1);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection of a visitor.
async fn visitor(world: &World) -> SendRequest<Body> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn asks(
    method: &str,
    uri: &str,
    headers: &[(&'static str, &str)],
    body: &'static str,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from_static(body.as_bytes())).boxed_unsync()).unwrap()
}

async fn answered(response: Response<Incoming>) -> (StatusCode, HeaderMap, String) {
    assert_eq!(response.version(), Version::HTTP_2);
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
}

async fn ask(
    sender: &SendRequest<Body>,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, String) {
    answered(sender.clone().send_request(request).await.unwrap()).await
}

fn code(body: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_application_sees_what_it_would_see_of_the_older_version() {
    let (world, upstream) = World::with_forum().await;
    let sender = visitor(&world).await;
    let cookies = [("cookie", "a=1"), ("cookie", "mandate_session=x"), ("cookie", "b=2")];
    let uri = "http://Forum.localhost:8080/topics/./7?x=1";
    let (status, headers, body) = ask(&sender, asks("GET", uri, &cookies, "")).await;
    assert_eq!(status, 200, "{body}");
    assert!(headers["x-request-id"].to_str().unwrap().starts_with("req_"));
    let seen: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&seen["method"], &seen["target"]), (&"GET".into(), &"/topics/7?x=1".into()));
    let lines = seen["headers"].as_array().unwrap();
    let said = |name: &str| -> Vec<&str> {
        lines.iter().filter(|line| line[0] == name).map(|line| line[1].as_str().unwrap()).collect()
    };
    assert_eq!(said("host"), ["forum.localhost:8080"]);
    assert_eq!(said("cookie"), ["a=1; b=2"]);
    assert_eq!(said("x-forwarded-proto"), ["http"]);
    assert!(said("te").is_empty() && said("transfer-encoding").is_empty(), "{lines:?}");

    let posts = (0..50)
        .map(|_| ask(&sender, asks("POST", "http://forum.localhost/topics/7/posts", &[], "hello")));
    for (status, _, body) in join_all(posts).await {
        let seen: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &seen["body"]), (StatusCode::OK, &"hello".into()));
    }
    let ledger = &world.peers.ledger;
    ledger.has("posts", 50).await;
    ledger.has("bytes_in", 250).await;
    assert_eq!((ledger.sum("requests"), ledger.sum("bytes_in")), (51, 250));
    assert_eq!(upstream.hits(), 51);
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused() {
    let (world, upstream) = World::with_forum().await;
    let sender = visitor(&world).await;
    let uri = "http://forum.localhost/";
    for (request, expected) in [
        (asks("GET", uri, &[("host", "other.localhost")], ""), "host_mismatch"),
        (asks("GET", "http://u@forum.localhost/", &[], ""), "host_unreadable"),
        (asks("get", uri, &[], ""), "method_not_allowed"),
        (asks("GET", "http://forum.localhost/a%2fb", &[], ""), "path_ambiguous"),
        (asks("GET", "http://nobody.localhost/", &[], ""), "unknown_host"),
        (asks("GET", "http://forum.localhost/badges", &[], ""), "module_off"),
        (asks("GET", "http://forum.localhost/Admin", &[], ""), "sign_in"),
    ] {
        let what = format!("{request:?}");
        let (status, _, body) = ask(&sender, request).await;
        assert_eq!(code(&body), expected, "{what} {status}");
    }
    assert_eq!(upstream.hits(), 0);
    assert_eq!(ask(&sender, asks("GET", uri, &[], "")).await.0, 200, "the connection goes on");
}

#[tokio::test]
async fn a_session_counts_here_too() {
    let (world, _upstream) = World::with_forum().await;
    let sender = visitor(&world).await;
    let cookie = format!("mandate_session={}", world.session_at(HOST, "ada"));
    let (user, token) = world.user("ada");
    world.grant(user, "forum.seeAdmin", &world.instance(HOST)).await;
    let admin = "http://forum.localhost/admin";
    let by_cookie = asks("GET", admin, &[("cookie", "x=1"), ("cookie", &cookie)], "");
    let (status, _, body) = ask(&sender, by_cookie).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(&user.to_string()) && !body.contains("mandate_session"), "{body}");
    let bearer = format!("Bearer {token}");
    assert_eq!(ask(&sender, asks("GET", admin, &[("authorization", &bearer)], "")).await.0, 200);
    assert_eq!(ask(&sender, asks("GET", admin, &[], "")).await.0, 401);
}

#[tokio::test]
async fn what_stands_behind_a_body_is_passed_on_without_what_only_a_head_may_say() {
    let (world, _upstream) = World::with_forum().await;
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, set-cookie\r\n\r\n\
                  5\r\nhello\r\n0\r\nX-Sum: 7\r\nSet-Cookie: mandate_session=x\r\n\
                  Content-Length: 1\r\nX-Request-Id: 1\r\n\r\n";
    world.hasty("one", answer, true).await;
    let mut sender = visitor(&world).await;
    let response = sender.send_request(asks("GET", "http://forum.localhost/", &[], "")).await;
    let collected = response.unwrap().into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap().clone();
    assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &"7".parse().unwrap()));
    assert_eq!(collected.to_bytes(), "hello");
    // In the older version they are for whoever says that they are heard.
    for (more, are_heard) in [("TE: trailers\r\n", true), ("", false)] {
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{more}Connection: close\r\n\r\n");
        let text = String::from_utf8(world.raw(request.as_bytes()).await).unwrap();
        let end = if are_heard { "0\r\nx-sum: 7\r\n\r\n" } else { "5\r\nhello\r\n0\r\n\r\n" };
        assert!(text.to_lowercase().ends_with(end), "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_has_to_end_is_reset() {
    let (world, _upstream) = World::with_forum().await;
    world
        .hasty("one", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true)
        .await;
    let mut sender = visitor(&world).await;
    let response = sender.send_request(asks("GET", "http://forum.localhost/", &[], "")).await;
    let mut body = response.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    let mut closed = world.instance(HOST);
    closed.suspended = Some("unpaid".to_owned());
    world.put(&closed).await;
    let frame = tokio::time::timeout(SOON, body.frame()).await.expect("it ends soon");
    assert!(frame.unwrap().is_err(), "what was broken off is not whole");
    // The connection goes on.
    let (status, ..) = ask(&sender, asks("GET", "http://forum.localhost/", &[], "")).await;
    assert_eq!(status, 402);
}

#[tokio::test]
async fn what_is_under_way_is_done_when_the_gateway_ends() {
    let (mut world, upstream) = World::with_forum().await;
    let (answer, asked) = mpsc::channel::<()>(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("one", listener.local_addr().unwrap(), None).await;
    drop(upstream);
    let (tell, mut told) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut asked = asked;
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 2_048];
        let _ = stream.read(&mut head).await;
        tell.send(()).await.unwrap();
        asked.recv().await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    });
    let sender = visitor(&world).await;
    let asking = {
        let sender = sender.clone();
        tokio::spawn(
            async move { ask(&sender, asks("GET", "http://forum.localhost/", &[], "")).await },
        )
    };
    told.recv().await.unwrap();
    let stopping = async {
        world.stop().await;
    };
    let answering = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        answer.send(()).await.unwrap();
        asking.await.unwrap()
    };
    let ((), (status, _, body)) = tokio::join!(stopping, answering);
    assert_eq!((status, body.as_str()), (StatusCode::OK, "hello"));
}

/// An application that speaks HTTP/2, and closes each connection after so long.
async fn speaks_http2<F>(world: &World, life: Duration, answer: fn(Request<Incoming>) -> F)
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let manifest = FORUM.replace("[run]", "[run]\nprotocol = \"h2c\"");
    world.publish(&manifest).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("one", listener.local_addr().unwrap(), None).await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = service_fn(move |request| {
                let answering = answer(request);
                async { Ok::<_, Infallible>(answering.await) }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), serve);
            tokio::spawn(tokio::time::timeout(life, connection));
        }
    });
}

/// A body of what is sent, as it is sent.
fn body() -> (mpsc::Sender<Frame<Bytes>>, Body) {
    let (writer, parts) = mpsc::channel(1);
    let frames = futures_util::stream::unfold(parts, async |mut parts: mpsc::Receiver<_>| {
        parts.recv().await.map(|frame| (Ok::<_, Infallible>(frame), parts))
    });
    (writer, StreamBody::new(frames).boxed_unsync())
}

/// Sends back what it is sent as it comes, and how it was asked behind it.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, mut asked) = request.into_parts();
    let said = format!("{} {:?}", head.uri, head.headers.get("te"));
    let (writer, answer) = body();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = asked.frame().await {
            let _ = writer.send(frame).await;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-asked", said.parse().unwrap());
        let _ = writer.send(Frame::trailers(trailers)).await;
    });
    Response::new(answer)
}

#[tokio::test]
async fn both_sides_may_speak_at_once_with_an_application_that_speaks_it_too() {
    let (world, _upstream) = World::with_forum().await;
    speaks_http2(&world, Duration::from_mins(1), echo).await;
    let mut sender = visitor(&world).await;
    let (writer, body) = body();
    let request = Request::post("http://forum.localhost/topics/7/posts").body(body).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        writer.send(Frame::data(Bytes::from_static(word.as_bytes()))).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), word);
    }
    drop(writer);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    let said = trailers["x-asked"].to_str().unwrap();
    assert_eq!(said, "http://forum.localhost/topics/7/posts Some(\"trailers\")");
    world.peers.ledger.has("bytes_out", 11).await;
    assert_eq!(world.peers.ledger.sum("bytes_in"), 11);

    let many = (0..100)
        .map(|_| ask(&sender, asks("POST", "http://forum.localhost/topics/7/posts", &[], "hello")));
    for (status, _, body) in join_all(many).await {
        assert_eq!((status, body.as_str()), (StatusCode::OK, "hello"));
    }
    // Also whoever speaks the older version is served.
    let answer = world.ask("POST /topics/7/posts", HOST, &[], "hello").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
}

#[tokio::test]
async fn an_application_that_closes_its_connection_is_asked_on_another() {
    let (world, _upstream) = World::with_forum().await;
    speaks_http2(&world, Duration::from_millis(50), |_| async {
        Response::new(Empty::new().boxed_unsync())
    })
    .await;
    let sender = visitor(&world).await;
    for _ in 0..200 {
        let (status, ..) = ask(&sender, asks("GET", "http://forum.localhost/", &[], "")).await;
        assert_eq!(status, 200);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET /` of the forum, as HPACK (RFC 7541) writes it without a table.
fn head() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x84, 0x41, u8::try_from(HOST.len()).unwrap()];
    block.extend_from_slice(HOST.as_bytes());
    block
}

/// Sends `bytes` until the gateway closes, or `most` times.
async fn floods(world: &World, most: u32, bytes: impl Fn(u32) -> Vec<u8>) -> bool {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let closes = tokio::spawn(async move {
        let mut rest = Vec::new();
        let _ = from.read_to_end(&mut rest).await;
    });
    to.write_all(PREFACE).await.unwrap();
    for number in 0..most {
        let sent =
            tokio::time::timeout(Duration::from_secs(10), to.write_all(&bytes(number))).await;
        if sent.is_err() || sent.unwrap().is_err() {
            return true;
        }
    }
    tokio::time::timeout(Duration::from_secs(5), closes).await.is_ok()
}

#[tokio::test]
async fn floods_end_and_others_are_served() {
    let (world, upstream) = World::with_forum().await;
    let reset = |number: u32| {
        let stream = 2 * number + 1;
        [frame(1, 0b101, stream, &head()), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
    };
    assert!(floods(&world, 20_000, reset).await, "requests that are taken back");
    let hits = upstream.hits();
    assert!(hits < 1_000, "{hits} of 20,000 requests that nobody waits for");
    let endless = |number: u32| {
        let kind = if number == 0 { 1 } else { 9 };
        frame(kind, 0, 1, &[&[0, 1, b'x', 126][..], &[b'a'; 126]].concat())
    };
    assert!(floods(&world, 100_000, endless).await, "a head without an end");
    let unread = |number: u32| frame(1, 0b101, 2 * number + 1, &head());
    assert!(floods(&world, 20_000, unread).await, "requests whose answers nobody reads");
    let wrong = |_| frame(0, 0, 0, b"data of no stream");
    assert!(floods(&world, 10, wrong).await);
    assert_eq!(world.get("/").await.status, 200);
}

#[tokio::test]
async fn who_takes_back_what_is_under_way_again_and_again_is_not_served() {
    let (world, _upstream) = World::with_forum().await;
    // It takes requests and does not answer.
    world.hasty("one", "", true).await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    // What is said has to be taken, or closing would be waited for.
    tokio::spawn(async move { from.read_to_end(&mut Vec::new()).await });
    to.write_all(PREFACE).await.unwrap();
    let taking_back = async {
        for round in 0..100_u32 {
            let streams = (0..5).map(|number| 2 * (5 * round + number) + 1);
            let asks = streams.clone().flat_map(|stream| frame(1, 0b101, stream, &head()));
            let ends = streams.flat_map(|stream| frame(3, 0, stream, &[0, 0, 0, 8]));
            for bytes in [asks.collect::<Vec<u8>>(), ends.collect()] {
                if to.write_all(&bytes).await.is_err() {
                    return round;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        100
    };
    let rounds = taking_back.await;
    assert!((20..50).contains(&rounds), "after {rounds} rounds of five");
    assert_eq!(world.ask("GET /", "console.localhost", &[], "").await.status, 200);
}

#[tokio::test]
async fn what_is_not_quite_it_is_refused_and_ends() {
    let (world, _upstream) = World::with_forum().await;
    for bytes in [
        &b"PRI * HTTP/1.1\r\nHost: forum.localhost\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let answer = tokio::time::timeout(SOON, world.raw(bytes)).await.expect("it ends");
        assert!(!answer.starts_with(b"HTTP/1.1 2"));
    }
    // What only begins like it is another request.
    let request = "PROPFIND / HTTP/1.1\r\nHost: forum.localhost\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}
