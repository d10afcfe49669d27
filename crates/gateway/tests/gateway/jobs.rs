//! Requests that become jobs.

use std::time::Duration;

use api::{
    Problem,
    jobs::{JobState, NewJob, PAYLOAD_BYTES_MAX, Progress},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::{Answer, FORUM, World, upstream::Upstream};

const HOST: &str = "forum.localhost";
const JSON: (&str, &str) = ("content-type", "application/json");
const PAGE: (&str, &str) = ("accept", "text/html");

/// A forum in which what is posted to `/imports` and, by those who may, to `/exports` is a job.
async fn with_jobs() -> (World, Upstream) {
    let (world, upstream) = World::with_forum().await;
    let routes = r#"
[[routes]]
match = "POST /imports"
access = "public"
job = "import"
[[routes]]
match = "POST /exports"
permission = "addUsers"
job = "export"
"#;
    let jobs = r#"
[jobs.import]
command = ["./forum", "import"]
version = 3
[jobs.export]
command = ["./forum", "export"]
"#;
    let (before, after) = FORUM.split_at(FORUM.find("[[routes]]").expect("the forum has routes"));
    world.publish(&[before, routes, after, jobs].concat()).await;
    (world, upstream)
}

fn queued(world: &World) -> Vec<NewJob> {
    let desk = world.peers.jobs.lock().expect("nobody panics while holding it");
    desk.queued.values().flat_map(|(operation, _)| operation.jobs.clone()).collect()
}

fn forget_queued(world: &World) {
    let mut desk = world.peers.jobs.lock().expect("nobody panics while holding it");
    desk.queued.clear();
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{}", answer.body))
}

fn owed(world: &World) -> usize {
    world.journal().len() + world.peers.ledger.events().len()
}

#[tokio::test]
async fn a_request_becomes_a_job_and_the_application_does_not_see_it() {
    let (world, upstream) = with_jobs().await;
    let answer = world.ask("POST /imports", HOST, &[JSON], r#"{"url":"https://a.example"}"#).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(upstream.hits(), 0);
    let jobs = queued(&world);
    assert_eq!((jobs.len(), jobs[0].name.as_str(), jobs[0].version), (1, "import", Some(3)));
    assert_eq!(jobs[0].payload, json!({ "url": "https://a.example" }));
    let address = json_of(&answer)["address"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(address.as_str()));
    let line = &world.access_log(1).await[0];
    assert_eq!(
        (&line["status"], &line["bytes_in"], &line["attempts"]),
        (&202.into(), &27.into(), &0.into())
    );

    let progress = Progress { percent: Some(40), note: Some("reads <b>".into()) };
    world.peers.jobs.lock().unwrap().state = Some((JobState::Running, progress));
    let look = format!("GET {address}");
    let shown = world.ask(&look, HOST, &[], "").await;
    let seen = json_of(&shown);
    assert_eq!((&seen["state"], &seen["percent"]), (&json!("running"), &json!(40)));
    assert!(!shown.body.contains("secret"), "what it printed is not a visitor's matter");
    let page = world.ask(&look, HOST, &[PAGE], "").await;
    assert!(page.body.contains("value=\"40\"") && page.body.contains("reads &lt;b&gt;"));
    assert!(page.body.contains("http-equiv=\"refresh\""));
    world.peers.jobs.lock().unwrap().state = Some((JobState::Succeeded, Progress::default()));
    let page = world.ask(&look, HOST, &[PAGE], "").await;
    assert!(
        page.body.contains("has been completed") && !page.body.contains("http-equiv=\"refresh\"")
    );

    world.peers.ledger.has("requests", 1).await;
    assert_eq!(world.peers.ledger.sum("requests"), 1, "looking at it is not counted");
}

#[tokio::test]
async fn any_body_becomes_a_payload() {
    let (world, _upstream) = with_jobs().await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let answer = world.ask("POST /imports", HOST, &[form, PAGE], "a=1&b=2").await;
    assert_eq!(answer.status, 303, "a browser is led to the job's page");
    assert!(answer.header("location").unwrap().starts_with("/.mandate/jobs/job_"));
    assert_eq!(queued(&world)[0].payload, json!({ "content_type": form.1, "body": "a=1&b=2" }));
    forget_queued(&world);
    world.ask("POST /imports", HOST, &[("content-type", "image/png")], "a\0b").await;
    assert_eq!(queued(&world)[0].payload, json!({ "content_type": "image/png", "base64": "YQBi" }));
    forget_queued(&world);
    assert_eq!(world.ask("POST /imports", HOST, &[], "").await.status, 202);
    assert_eq!(queued(&world)[0].payload, Value::Null);
}

#[tokio::test]
async fn what_cannot_be_a_payload_is_refused_and_nothing_is_queued() {
    let (world, _upstream) = with_jobs().await;
    let broken = world.ask("POST /imports", HOST, &[JSON], "{\"a\":").await;
    assert_eq!((broken.status, broken.code().as_str()), (400, "json_unreadable"));
    let long = "a".repeat(PAYLOAD_BYTES_MAX + 1);
    let refused = world.ask("POST /imports", HOST, &[], &long).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "payload_too_long"));
    // It fits only until it is written as base64.
    let binary = "\0".repeat(PAYLOAD_BYTES_MAX - 10);
    assert_eq!(world.ask("POST /imports", HOST, &[], &binary).await.status, 413);
    assert!(queued(&world).is_empty());
    assert_eq!(owed(&world), 0);
}

#[tokio::test]
async fn a_job_is_asked_for_and_seen_by_those_who_may_make_the_request() {
    let (world, upstream) = with_jobs().await;
    assert_eq!(world.ask("POST /exports", HOST, &[], "x").await.status, 401);
    let (ada, token) = world.user("ada");
    let (_, stranger) = world.user("eve");
    world.grant(ada, "forum.addUsers", &world.instance(HOST)).await;
    let (ada, eve) = (format!("Bearer {token}"), format!("Bearer {stranger}"));
    let (ada, eve) = ([("authorization", ada.as_str())], [("authorization", eve.as_str())]);
    assert_eq!(world.ask("POST /exports", HOST, &eve, "x").await.status, 403);
    let answer = world.ask("POST /exports", HOST, &ada, "x").await;
    assert_eq!((answer.status, upstream.hits()), (202, 0));
    let look = format!("GET {}", json_of(&answer)["address"].as_str().unwrap());
    assert_eq!(world.ask(&look, HOST, &ada, "").await.status, 200);
    assert_eq!(world.ask(&look, HOST, &eve, "").await.status, 404);
    assert_eq!(world.ask(&look, HOST, &[], "").await.status, 404);
    let led = world.ask(&look, HOST, &[PAGE], "").await;
    assert!(led.status == 303 && led.header("location").unwrap().contains("sign-in"));

    // At another host of the same service it is not there, whoever asks.
    let other = world.instance("other.localhost");
    world.put(&other).await;
    world.grant(world.user("ada").0, "forum.*", &other).await;
    assert_eq!(world.ask(&look, "other.localhost", &ada, "").await.status, 404);
}

#[tokio::test]
async fn where_jobs_is_away_it_is_said_and_what_is_sent_again_is_queued_once() {
    let (world, upstream) = with_jobs().await;
    let key = ("idempotency-key", "import-7");
    world.peers.jobs.lock().unwrap().refusal = Some(Problem::unavailable("connection refused", 3));
    let away = world.ask("POST /imports", HOST, &[key], "x").await;
    assert_eq!((away.status, away.header("retry-after")), (503, Some("3")));
    assert!(!away.body.contains("connection"), "{}", away.body);
    assert_eq!(owed(&world), 0);
    world.peers.jobs.lock().unwrap().refusal = None;
    let first = world.ask("POST /imports", HOST, &[key], "x").await;
    let again = world.ask("POST /imports", HOST, &[key], "x").await;
    assert_eq!((first.status, json_of(&first)), (202, json_of(&again)));
    let other = world.ask("POST /imports", HOST, &[key], "y").await;
    assert_eq!((other.status, other.code().as_str()), (409, "idempotency_key_reused"));
    assert_eq!((queued(&world).len(), upstream.hits()), (1, 0));
    // Without a key each is its own, and so is the same key at another instance.
    for _ in 0..2 {
        assert_eq!(world.ask("POST /imports", HOST, &[], "x").await.status, 202);
    }
    world.put(&world.instance("other.localhost")).await;
    assert_eq!(world.ask("POST /imports", "other.localhost", &[key], "z").await.status, 202);
    assert_eq!(queued(&world).len(), 4);
}

#[tokio::test]
async fn what_is_closed_while_the_body_comes_gets_no_job() {
    let (world, _upstream) = with_jobs().await;
    let mut visitor = TcpStream::connect(world.address).await.unwrap();
    let head = "POST /imports HTTP/1.1\r\nHost: forum.localhost\r\nConnection: close\r\n\
                Content-Length: 2\r\n\r\na";
    visitor.write_all(head.as_bytes()).await.unwrap();
    // Nothing tells that the rest is waited for; if it came later it would be refused all the same.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut closed = world.instance(HOST);
    closed.maintenance = Some("new shelves".into());
    world.put(&closed).await;
    visitor.write_all(b"b").await.unwrap();
    let mut answer = Vec::new();
    visitor.read_to_end(&mut answer).await.unwrap();
    let answer = Answer::read(&answer);
    assert_eq!((answer.status, answer.code().as_str()), (503, "maintenance"));
    assert!(queued(&world).is_empty());
}
