//! Following a feed: a snapshot first, then every change, and a lease that says how old the copy
//! may be.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use api::{
    Client, Problem,
    feed::{Change, Document, Feed},
};
use tokio::time::Instant;

use super::followers::LEASE_MAX;
use crate::process;

const LEASE_SECONDS: u32 = 10;
const WAIT_MILLIS: u32 = 3_000;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What a copy is told.
#[derive(Debug)]
pub enum Update {
    /// Forget everything; these are all the documents.
    Reset(Vec<Change>),
    /// These changed, in order.
    Changes(Vec<Change>),
}

impl Update {
    /// The documents of topic `D` that were put (with their content) or removed, in order.
    /// One that cannot be read is none any more: what stood in its place is no longer true, and what
    /// is not known decides nothing.
    pub fn of<D: Document>(&self) -> Vec<(String, Option<D>)> {
        let (Self::Reset(changes) | Self::Changes(changes)) = self;
        let mut documents = Vec::new();
        for change in changes.iter().filter(|change| change.topic == D::TOPIC) {
            let body = change.body.clone().map(serde_json::from_value::<D>).transpose();
            match body {
                Ok(body) => documents.push((change.key.clone(), body)),
                Err(cause) => {
                    let key = change.key.clone();
                    tracing::error!(topic = D::TOPIC, key, %cause, "a document cannot be read and counts as removed");
                    documents.push((key, None));
                }
            }
        }
        documents
    }

    /// Whether everything known before is to be forgotten.
    pub fn is_reset(&self) -> bool {
        matches!(self, Self::Reset(_))
    }
}

/// How far a copy is, and until when it may be relied on.
#[derive(Debug, Clone, Default)]
pub struct Freshness(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    applied: AtomicU64,
    good_until: Mutex<Option<Instant>>,
}

impl Freshness {
    /// Whether the copy's lease holds: the feed's owner waits for it.
    pub fn holds(&self) -> bool {
        let until = *self.0.good_until.lock().expect("nobody panics while holding it");
        until.is_some_and(|until| Instant::now() < until)
    }

    /// The revision that was applied last.
    pub fn applied(&self) -> u64 {
        self.0.applied.load(Ordering::Acquire)
    }

    fn renew(&self, asked: Instant) {
        // Counted from when the question was sent, so that it ends here before it ends there.
        let until = asked + LEASE_MAX;
        *self.0.good_until.lock().expect("nobody panics while holding it") = Some(until);
    }
}

/// Keeps a copy of feed `F` under the name `follower`, for as long as it is polled. `apply` is
/// called with each update; what it has returned from is acknowledged.
pub async fn follow<F: Feed>(
    client: Client,
    follower: String,
    freshness: Freshness,
    mut apply: impl FnMut(Update) + Send,
) {
    let follower = format!("{follower}#{}", process::this());
    let mut pause = PAUSE_MIN;
    let mut started = false;
    // The first question is answered at once, also the first after one that was not answered: nothing may
    // be relied on before.
    let mut wait_millis = 0;
    loop {
        let step = if started {
            let question =
                F::follow(follower.clone(), freshness.applied(), LEASE_SECONDS, wait_millis);
            follow_once::<F>(&client, question, &freshness, &mut apply).await
        } else {
            wait_millis = 0;
            start::<F>(&client, &freshness, &mut apply).await.map(|()| true)
        };
        match step {
            Ok(goes_on) => {
                if started {
                    wait_millis = WAIT_MILLIS;
                }
                started = goes_on;
                pause = PAUSE_MIN;
            }
            Err(problem) => {
                wait_millis = 0;
                // Before the first answer it is only that others are still starting.
                if started {
                    tracing::warn!(feed = F::COMPONENT, follower, %problem, "the feed does not answer");
                } else {
                    tracing::debug!(feed = F::COMPONENT, follower, %problem, "the feed does not answer");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

async fn start<F: Feed>(
    client: &Client,
    freshness: &Freshness,
    apply: &mut (impl FnMut(Update) + Send),
) -> Result<(), Problem> {
    let first = client.call(F::read(None)).await?;
    let (mut documents, mut next) = (first.documents, first.next);
    while let Some(after) = next {
        let page = client.call(F::read(Some(after))).await?;
        documents.extend(page.documents);
        next = page.next;
    }
    apply(Update::Reset(documents));
    freshness.0.applied.store(first.revision, Ordering::Release);
    Ok(())
}

async fn follow_once<F: Feed>(
    client: &Client,
    question: F::Follow,
    freshness: &Freshness,
    apply: &mut (impl FnMut(Update) + Send),
) -> Result<bool, Problem> {
    let asked = Instant::now();
    let answer = client.call(question).await?;
    if answer.reset {
        return Ok(false);
    }
    let mut applied = freshness.applied();
    if let Some(last) = answer.changes.last().map(|change| change.revision) {
        apply(Update::Changes(answer.changes));
        freshness.0.applied.store(last, Ordering::Release);
        applied = last;
    }
    // What was committed before the owner knew of this copy is not waited for: only a copy that
    // has come to the head may be relied on.
    if applied >= answer.head {
        freshness.renew(asked);
    }
    Ok(true)
}

/// A copy of the documents of one topic, by key.
#[derive(Debug)]
pub struct Copy<D>(std::collections::HashMap<String, Arc<D>>);

impl<D> Default for Copy<D> {
    fn default() -> Self {
        Self(std::collections::HashMap::new())
    }
}

impl<D> Clone for Copy<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Document> Copy<D> {
    /// Applies an update.
    pub fn apply(&mut self, update: &Update) {
        if update.is_reset() {
            self.0.clear();
        }
        for (key, document) in update.of::<D>() {
            match document {
                Some(document) => self.0.insert(key, Arc::new(document)),
                None => self.0.remove(&key),
            };
        }
    }

    /// The document of that name.
    pub fn get(&self, key: &str) -> Option<&Arc<D>> {
        self.0.get(key)
    }

    /// All documents, in no order.
    pub fn values(&self) -> impl Iterator<Item = &Arc<D>> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use api::{Transport, TransportError, access::Grant, http::Sending};
    use bytes::Bytes;
    use http::{Request, Response};
    use serde_json::{Value, json};

    use super::*;

    /// The feed's owner, which is not there when it is asked for the third time.
    #[derive(Default)]
    struct Owner(Mutex<Vec<Value>>);

    impl Transport for Owner {
        fn send(&self, request: Request<Bytes>) -> Sending<'_> {
            let answer = if request.method() == http::Method::GET {
                json!({ "revision": 0, "documents": [] })
            } else {
                let mut asked = self.0.lock().unwrap();
                let question: Value = serde_json::from_slice(request.body()).unwrap();
                asked.push(question["wait_millis"].clone());
                if asked.len() == 3 {
                    let away = TransportError { to: "access".into(), why: "it is away".into() };
                    return Box::pin(async { Err(away) });
                }
                json!({ "changes": [], "head": 0, "reset": false })
            };
            let answer = Response::new(Bytes::from(answer.to_string()));
            Box::pin(async {
                tokio::task::yield_now().await;
                Ok(answer)
            })
        }
    }

    #[tokio::test]
    async fn who_was_away_is_asked_for_an_answer_at_once() {
        let owner = Arc::new(Owner::default());
        let client = Client::new(owner.clone(), Arc::new(None::<Arc<str>>));
        let freshness = Freshness::default();
        let follower =
            follow::<api::access::Changes>(client, "copy".into(), freshness.clone(), |_| {});
        tokio::select! {
            () = follower => {}
            () = async {
                while owner.0.lock().unwrap().len() < 5 {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        assert!(freshness.holds());
        let asked = owner.0.lock().unwrap().clone();
        assert_eq!(asked[..5], [0, WAIT_MILLIS, WAIT_MILLIS, 0, WAIT_MILLIS].map(Value::from));
    }

    fn change(revision: u64, given: &str) -> Change {
        let grant = types::GrantId::named(&["one"]).to_string();
        let body = json!({
            "grant": grant, "principal": "service/forum", "given": given, "on": "platform",
            "granted_by": "service/identity", "created": "2026-12-01T00:00:00Z",
        });
        Change { revision, topic: "grant".into(), key: grant, body: Some(body) }
    }

    #[test]
    fn what_cannot_be_read_is_gone() {
        let mut copy = Copy::<Grant>::default();
        copy.apply(&Update::Changes(vec![change(1, "forum.addUsers")]));
        assert_eq!(copy.values().count(), 1);
        copy.apply(&Update::Changes(vec![change(2, "a form of a later release")]));
        assert_eq!(copy.values().count(), 0, "what was granted before is not granted any more");
        copy.apply(&Update::Reset(vec![change(3, "{}"), change(4, "forum.*")]));
        assert_eq!(copy.values().count(), 1);
    }
}
