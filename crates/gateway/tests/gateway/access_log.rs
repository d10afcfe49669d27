//! What the access log tells of a request.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::world::World;

const HOST: &str = "forum.localhost";

/// A line without what differs each time.
fn told(line: &Value) -> Value {
    let mut line = line.clone();
    let fields = line.as_object_mut().unwrap();
    for name in ["time", "request", "duration_ms", "waited_ms"] {
        assert!(fields.remove(name).is_some(), "{name}");
    }
    line
}

#[tokio::test]
async fn it_tells_what_became_of_a_request() {
    let (world, upstream) = World::with_forum().await;
    let route = world.instance(HOST);
    let (user, token) = world.user("ada");
    let bearer = format!("Bearer {token}");
    let bearer = [("Authorization", bearer.as_str())];
    world.grant(user, "forum.seeAdmin", &route).await;
    let answer = world.ask("GET /admin/x?secret=1", HOST, &bearer, "").await;
    let posted = world.ask("POST /topics/7/posts", HOST, &[], "hello").await;
    world.ask("GET /admin", HOST, &[], "").await;
    world.ask("GET /x", "nobody.localhost", &[], "").await;
    world.ask("GET /seen", "console.localhost", &[], "").await;
    drop(upstream);
    world.get("/").await;
    let lines = world.access_log(6).await;
    let replica = world.replica("one", ([127, 0, 0, 1], 1).into(), None).await.replica;
    let usual = serde_json::json!({
        "peer": "127.0.0.1", "protocol": "HTTP/1.1", "https": false, "host": HOST,
        "service": "forum", "instance": route.instance, "bytes_in": 0,
    });
    let with = |more: Value| {
        let mut line = usual.clone();
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    assert_eq!(lines[0]["request"].as_str(), answer.header("x-request-id"));
    assert_eq!(
        told(&lines[0]),
        with(serde_json::json!({
            "method": "GET", "path": "/admin/x", "status": 200, "bytes_out": answer.body.len(),
            "route": "/admin/*", "user": user, "replica": replica, "attempts": 1,
        }))
    );
    assert_eq!(
        told(&lines[1]),
        with(serde_json::json!({
            "method": "POST", "path": "/topics/7/posts", "status": 200, "bytes_in": 5,
            "bytes_out": posted.body.len(), "route": "POST /topics/*/posts", "replica": replica,
            "attempts": 1,
        }))
    );
    let said = |place: usize| {
        let line: &Value = &lines[place];
        (line["status"].as_u64().unwrap(), line["problem"].as_str().unwrap_or_default())
    };
    assert_eq!((said(2), &lines[2]["attempts"]), ((401, "sign_in"), &0.into()));
    assert_eq!((said(3), lines[3].get("service")), ((404, "unknown_host"), None));
    assert_eq!((said(4), &lines[4]["host"]), ((200, ""), &"console.localhost".into()));
    assert_eq!((said(5), &lines[5]["replica"]), ((503, "unavailable"), &lines[0]["replica"]));
}

#[tokio::test]
async fn what_goes_on_is_told_when_it_has_ended() {
    let (world, _upstream) = World::with_forum().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("one", listener.local_addr().unwrap(), None).await;
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 2_048]).await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                    Upgrade: websocket\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
    });
    let mut visitor = TcpStream::connect(world.address).await.unwrap();
    let ask = format!(
        "GET /live HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello"
    );
    visitor.write_all(ask.as_bytes()).await.unwrap();
    serve.await.unwrap();
    let mut rest = Vec::new();
    visitor.read_to_end(&mut rest).await.unwrap();
    drop(visitor);
    let line = told(&world.access_log(1).await[0]);
    assert_eq!((&line["status"], &line["path"]), (&101.into(), &"/live".into()));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&5.into(), &6.into()));
}
