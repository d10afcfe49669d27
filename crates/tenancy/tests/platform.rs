//! What a service sees while the platform answers, is silent, and answers again.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::get,
};
use serde_json::json;
use tenancy::{Error, Host, ManualClock, Tenants, Timestamp, Vars};
use tokio::sync::Mutex;

/// A platform that knows `a.localhost`, counts its questions and believes one token.
#[derive(Clone)]
struct Platform {
    questions: Arc<AtomicUsize>,
    token: Arc<Mutex<&'static str>>,
    /// The status that it answers with instead of answering, if any.
    broken: Arc<Mutex<Option<StatusCode>>>,
    /// What each answer waits for.
    gate: Arc<Mutex<()>>,
}

async fn answer(
    State(platform): State<Platform>,
    Path((service, host)): Path<(String, String)>,
    headers: HeaderMap,
) -> axum::response::Response {
    platform.questions.fetch_add(1, Ordering::SeqCst);
    let _gate = platform.gate.lock().await;
    if let Some(status) = *platform.broken.lock().await {
        return status.into_response();
    }
    if headers["authorization"] != format!("Bearer {}", platform.token.lock().await) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if (service.as_str(), host.as_str()) != ("forum", "a.localhost") {
        return (StatusCode::NOT_FOUND, Json(json!({ "code": "not_found" }))).into_response();
    }
    Json(json!({
        "instance": "inst_01h455vb4pex5vsknk084sn02q",
        "host": host,
        "database_url": "sqlite:a.db",
        "modules": ["polls"],
        "settings": { "admin_email": "ada@example.com" },
        "public_url": "http://a.localhost:8080",
        "said_by_a_later_platform": true,
    }))
    .into_response()
}

fn vars(url: &str, service: &str, token_file: &str) -> Vars {
    let vars = [
        ("MANDATE_TENANCY_URL", url),
        ("MANDATE_SERVICE", service),
        ("MANDATE_TENANCY_TOKEN_FILE", token_file),
    ];
    vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

struct World {
    platform: Platform,
    clock: Arc<ManualClock>,
    tenants: Tenants,
    token_file: PathBuf,
}

impl World {
    async fn start(name: &str) -> Self {
        let platform = Platform {
            questions: Arc::default(),
            token: Arc::new(Mutex::new("first")),
            broken: Arc::default(),
            gate: Arc::default(),
        };
        let router = Router::new()
            .route("/configurator/v1/services/{service}/hosts/{host}", get(answer))
            .with_state(platform.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let token_file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.token"));
        std::fs::write(&token_file, "first\n").unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
        let vars = vars(&url, "forum", &token_file.display().to_string());
        let tenants = Tenants::from_vars(&vars, clock.clone()).unwrap();
        Self { platform, clock, tenants, token_file }
    }

    fn questions(&self) -> usize {
        self.platform.questions.load(Ordering::SeqCst)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn breaks(&self, status: impl Into<Option<StatusCode>>) {
        *self.platform.broken.lock().await = status.into();
    }

    async fn knows(&self, host: &str) -> Result<bool, Error> {
        self.tenants.by_host(&host.parse::<Host>().unwrap()).await.map(|found| found.is_some())
    }
}

#[tokio::test]
async fn a_tenant_is_asked_about_once_in_five_seconds() {
    let world = World::start("hit").await;
    let host = "a.localhost".parse().unwrap();
    let tenant = world.tenants.by_host(&host).await.unwrap().unwrap();
    assert_eq!(tenant.database_url.reveal(), "sqlite:a.db");
    assert_eq!(tenant.settings["admin_email"], "ada@example.com");
    assert!(tenant.has("polls") && !tenant.has("search"));
    world.pass(4);
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    assert_eq!(world.questions(), 1);
    world.pass(1);
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    assert_eq!(world.questions(), 2);
    world.tenants.forget(&host);
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    assert_eq!(world.questions(), 3);
}

#[tokio::test]
async fn nobody_is_remembered_for_one_second() {
    let world = World::start("miss").await;
    for _ in 0..3 {
        assert_eq!(world.knows("nobody.localhost").await, Ok(false));
    }
    assert_eq!(world.questions(), 1);
    world.pass(1);
    assert_eq!(world.knows("nobody.localhost").await, Ok(false));
    assert_eq!(world.questions(), 2);
}

#[tokio::test]
async fn many_who_wait_for_one_host_ask_once() {
    let world = World::start("flight").await;
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let tenants = world.tenants.clone();
            tokio::spawn(async move { tenants.by_host(&"a.localhost".parse().unwrap()).await })
        })
        .collect();
    for one in crowd {
        assert!(one.await.unwrap().unwrap().is_some());
    }
    assert_eq!(world.questions(), 1);
}

#[tokio::test]
async fn while_the_platform_is_down_a_known_tenant_is_served_for_a_minute() {
    let world = World::start("stale").await;
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    world.breaks(StatusCode::SERVICE_UNAVAILABLE).await;
    world.pass(5);
    for _ in 0..3 {
        assert_eq!(world.knows("a.localhost").await, Ok(true));
    }
    assert_eq!(world.questions(), 2, "a platform that is down is left alone for a second");
    assert!(world.knows("new.localhost").await.is_err(), "who was never known is not guessed");
    world.pass(59);
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    world.pass(1);
    let error = world.knows("a.localhost").await.unwrap_err();
    assert!(error.to_string().contains("`a.localhost`"), "{error}");
    world.breaks(None).await;
    world.pass(1);
    assert_eq!(world.knows("a.localhost").await, Ok(true));
}

#[tokio::test]
async fn while_the_platform_is_silent_one_waits_and_the_others_do_not() {
    let world = World::start("silent").await;
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    world.breaks(StatusCode::SERVICE_UNAVAILABLE).await;
    world.pass(5);
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    world.pass(1);
    let gate = world.platform.gate.lock().await;
    let tenants = world.tenants.clone();
    let host: Host = "a.localhost".parse().unwrap();
    let waiting = tokio::spawn(async move { tenants.by_host(&host).await });
    while world.questions() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    assert!(!waiting.is_finished(), "who asks waits for the answer");
    drop(gate);
    assert!(waiting.await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn a_tenant_that_is_gone_is_not_served_stale() {
    let world = World::start("gone").await;
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    world.breaks(StatusCode::NOT_FOUND).await;
    world.pass(5);
    assert_eq!(world.knows("a.localhost").await, Ok(false));
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nothing() {
    let world = World::start("back").await;
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    world.clock.set(Timestamp::from_micros(1_600_000_000_000_000));
    world.breaks(StatusCode::NOT_FOUND).await;
    assert_eq!(world.knows("a.localhost").await, Ok(false));
}

#[tokio::test]
async fn a_rotated_token_counts_at_once() {
    let world = World::start("token").await;
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    *world.platform.token.lock().await = "second";
    std::fs::write(&world.token_file, "second").unwrap();
    world.pass(70);
    assert_eq!(world.knows("a.localhost").await, Ok(true));
    std::fs::remove_file(&world.token_file).unwrap();
    world.pass(70);
    assert!(world.knows("a.localhost").await.unwrap_err().to_string().contains("token file"));
}

#[tokio::test]
async fn an_environment_that_is_not_whole_says_what_to_set() {
    let cases = [
        ("http://127.0.0.1:1", "", "`MANDATE_SERVICE` is not"),
        ("http://127.0.0.1:1", "../x", "`../x` is not a name"),
        ("ftp://x", "forum", "`ftp://x` in `MANDATE_TENANCY_URL`"),
    ];
    for (url, service, expected) in cases {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(0)));
        let error = Tenants::from_vars(&vars(url, service, "token"), clock).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
