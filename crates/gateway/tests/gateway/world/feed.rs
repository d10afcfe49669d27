//! A feed in memory, as a component serves it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use api::feed::{Change, Changes, Document, Snapshot};
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::{get, put},
};
use http::StatusCode;
use serde_json::Value;
use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct Feed(Arc<Inner>);

struct Inner {
    log: Mutex<Vec<Change>>,
    head: watch::Sender<u64>,
    acknowledged: watch::Sender<HashMap<String, u64>>,
    away: AtomicBool,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            log: Mutex::default(),
            head: watch::Sender::new(0),
            acknowledged: watch::Sender::new(HashMap::new()),
            away: AtomicBool::new(false),
        }))
    }

    pub(crate) fn put<D: Document>(&self, document: &D) -> u64 {
        self.change(D::TOPIC, document.key(), Some(serde_json::to_value(document).unwrap()))
    }

    pub(crate) fn remove<D: Document>(&self, key: &str) -> u64 {
        self.change(D::TOPIC, key.to_owned(), None)
    }

    /// A change, whatever the document is.
    pub(crate) fn change(&self, topic: &str, key: String, body: Option<Value>) -> u64 {
        let mut log = self.0.log.lock().unwrap();
        let revision = log.len() as u64 + 1;
        log.push(Change { revision, topic: topic.to_owned(), key, body });
        self.0.head.send_replace(revision);
        revision
    }

    /// It answers no more, or again.
    pub(crate) fn set_away(&self, away: bool) {
        self.0.away.store(away, Ordering::SeqCst);
        self.0.head.send_modify(|_| {});
    }

    /// Returns when `follower` holds a lease.
    pub(crate) async fn followed(&self, follower: &str) {
        self.wait(follower, 0).await;
    }

    /// Returns when `follower` has applied `revision`.
    pub(crate) async fn acknowledged(&self, follower: &str, revision: u64) {
        self.wait(follower, revision).await;
    }

    async fn wait(&self, follower: &str, revision: u64) {
        let mut acknowledged = self.0.acknowledged.subscribe();
        let done = acknowledged.wait_for(|all| all.get(follower).is_some_and(|at| *at >= revision));
        tokio::time::timeout(Duration::from_mins(1), done)
            .await
            .expect("followed in time")
            .unwrap();
    }

    pub(crate) fn router(&self, component: &str) -> Router {
        Router::new()
            .route(&format!("/{component}/v1/followers/{{follower}}"), put(follow))
            .route(&format!("/{component}/v1/snapshot"), get(snapshot))
            .with_state(self.clone())
    }
}

fn is_away(feed: &Feed) -> Option<Response> {
    feed.0.away.load(Ordering::SeqCst).then(|| StatusCode::BAD_GATEWAY.into_response())
}

async fn follow(
    State(feed): State<Feed>,
    Path(follower): Path<String>,
    Json(question): Json<Value>,
) -> Response {
    // Behind its name it says which process it is.
    let follower = follower.split('#').next().unwrap().to_owned();
    let applied = question["applied"].as_u64().unwrap();
    let patience = question["wait_millis"].as_u64().unwrap();
    if let Some(away) = is_away(&feed) {
        return away;
    }
    let mut known = false;
    feed.0.acknowledged.send_modify(|all| {
        // The first question is answered at once, so it is no lease yet: the second one is.
        known = all.contains_key(&follower) || all.contains_key(&format!("{follower}?"));
        let name = if known { follower.clone() } else { format!("{follower}?") };
        all.insert(name, applied);
    });
    if known {
        let mut head = feed.0.head.subscribe();
        let away = || feed.0.away.load(Ordering::SeqCst);
        let news = head.wait_for(|head| *head > applied || away());
        let _ = tokio::time::timeout(Duration::from_millis(patience), news).await;
    }
    if let Some(away) = is_away(&feed) {
        return away;
    }
    let log = feed.0.log.lock().unwrap();
    let changes = log.iter().filter(|change| change.revision > applied).cloned().collect();
    Json(Changes { changes, head: log.len() as u64, reset: false }).into_response()
}

async fn snapshot(State(feed): State<Feed>) -> Response {
    if let Some(away) = is_away(&feed) {
        return away;
    }
    let log = feed.0.log.lock().unwrap();
    let mut documents: HashMap<(String, String), Change> = HashMap::new();
    for change in log.iter() {
        documents.insert((change.topic.clone(), change.key.clone()), change.clone());
    }
    let documents = documents.into_values().filter(|change| change.body.is_some()).collect();
    Json(Snapshot { revision: log.len() as u64, documents, next: None }).into_response()
}
