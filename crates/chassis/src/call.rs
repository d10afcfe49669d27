//! What a handler holds: the room it stands in, who is calling, and, if it writes, a transaction.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use api::{Client, Problem, feed::Document};
use tokio::sync::Notify;
use types::{Clock, RequestId, Timestamp};

use crate::{
    Caller, Seal,
    failure::database_failed,
    feed::{self, Followers},
    guard::Guard,
    lease::Lease,
    repeat::Repeat,
};

/// All that a component has.
pub struct Room<S>(Arc<Inner<S>>);

pub(crate) struct Inner<S> {
    pub(crate) name: &'static str,
    pub(crate) state: S,
    pub(crate) db: db::Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) peers: Client,
    pub(crate) seal: Seal,
    pub(crate) guard: Guard,
    pub(crate) followers: Followers,
    pub(crate) lease: Lease,
    pub(crate) changed: Notify,
}

impl<S> Clone for Room<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Room<S> {
    pub(crate) fn new(inner: Inner<S>) -> Self {
        Self(Arc::new(inner))
    }

    pub(crate) fn inner(&self) -> &Inner<S> {
        &self.0
    }

    /// What the component keeps in memory.
    pub fn state(&self) -> &S {
        &self.0.state
    }

    /// The component's database.
    pub fn db(&self) -> &db::Db {
        &self.0.db
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The way to the other components, as this one.
    pub fn peers(&self) -> &Client {
        &self.0.peers
    }

    /// Seals and opens this component's secrets.
    pub fn seal(&self) -> &Seal {
        &self.0.seal
    }

    /// The decisions as this process makes them.
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }

    /// Wakes the component's reconcilers.
    pub fn nudge(&self) {
        self.0.changed.notify_waiters();
    }

    /// Ends when something is committed here after it was enabled.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.changed.notified()
    }

    /// Returns when every copy of the feed that is alive has applied `revision`.
    pub async fn followed_to(&self, revision: u64) {
        self.0.followers.barrier(revision).await;
    }

    /// The copies of the feed that are alive, by their names.
    pub fn copies(&self) -> Vec<String> {
        self.0.followers.living()
    }

    /// Those of them that gateways keep.
    pub fn gateways(&self) -> Vec<String> {
        self.copies().into_iter().filter(|name| name.ends_with(".gateway")).collect()
    }

    /// Returns when every copy of the feed that is alive has applied all that is committed here.
    pub async fn copies_have_all(&self) -> Result<(), Problem> {
        let head = feed::head(self.db()).await;
        let head = head.map_err(|cause| database_failed(self.0.name, &cause))?;
        self.followed_to(head).await;
        Ok(())
    }

    /// Begins a transaction on the component's own behalf.
    pub async fn begin(&self) -> Result<Write<S>, Problem> {
        if !self.0.lease.holds() {
            let detail = format!("this process does not own the database of {}", self.0.name);
            return Err(Problem::unavailable(detail, 1));
        }
        let tx = self.0.db.begin().await.map_err(|cause| database_failed(self.0.name, &cause))?;
        let caller = Caller::component(self.0.name);
        Ok(Write {
            tx,
            room: self.clone(),
            caller,
            request: None,
            repeat: None,
            draft: feed::Draft::default(),
            waits: false,
            then: Vec::new(),
        })
    }
}

/// A request that is being answered.
pub struct Call<S> {
    pub(crate) room: Room<S>,
    /// Who is calling.
    pub caller: Caller,
    /// The request's id.
    pub request: RequestId,
    /// From which address the request comes, as the gateway has seen it.
    pub from: Option<IpAddr>,
    pub(crate) repeat: Option<Repeat>,
}

impl<S> Deref for Call<S> {
    type Target = Room<S>;
    fn deref(&self) -> &Room<S> {
        &self.room
    }
}

impl<S> Call<S> {
    /// The room, for work that outlives the call.
    pub fn room(&self) -> &Room<S> {
        &self.room
    }

    /// Ends `write` with what it came to. A refusal too is given only when every copy has what is
    /// committed: who is told that something is gone may rely on its being gone everywhere.
    pub async fn settle<R, E>(&self, write: Write<S>, outcome: Result<R, E>) -> Result<R, E>
    where
        R: serde::Serialize + Sync,
        E: From<Problem>,
    {
        match outcome {
            Ok(reply) => Ok(write.finish(reply).await?),
            Err(refusal) => {
                drop(write);
                self.copies_have_all().await?;
                Err(refusal)
            }
        }
    }

    /// Begins the transaction that answers this request; end it with [`Write::finish`].
    pub async fn begin(&self) -> Result<Write<S>, Problem> {
        let write = self.room.begin().await?;
        Ok(Write {
            caller: self.caller.clone(),
            request: Some(self.request),
            repeat: self.repeat.clone(),
            ..write
        })
    }
}

/// What is done in memory once a transaction is committed.
type Then<S> = Box<dyn FnOnce(&S) + Send + Sync>;

/// A transaction. It is undone if it is dropped before it is committed or finished.
pub struct Write<S> {
    tx: db::Tx,
    room: Room<S>,
    /// On whose behalf.
    pub caller: Caller,
    /// The request that it answers, if it answers one.
    pub request: Option<RequestId>,
    repeat: Option<Repeat>,
    draft: feed::Draft,
    waits: bool,
    then: Vec<Then<S>>,
}

impl<S> Write<S> {
    /// The transaction itself, for the store's functions.
    pub fn tx(&mut self) -> &mut db::Tx {
        &mut self.tx
    }

    pub(crate) fn component(&self) -> &'static str {
        self.room.inner().name
    }

    /// What the component keeps in memory.
    pub fn state(&self) -> &S {
        self.room.state()
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.room.now()
    }

    /// Seals and opens this component's secrets.
    pub fn seal(&self) -> &Seal {
        self.room.seal()
    }

    /// Puts a document into the feed, with the revision that is returned.
    pub async fn put<D: Document>(&mut self, document: &D) -> Result<u64, db::Error> {
        let body =
            serde_json::to_string(document).map_err(|cause| db::Error::encode(D::TOPIC, cause))?;
        self.change((D::TOPIC, document.key()), Some(body)).await
    }

    /// Takes a document out of the feed, with the revision that is returned.
    pub async fn remove<D: Document>(&mut self, key: &str) -> Result<u64, db::Error> {
        self.change((D::TOPIC, key.to_owned()), None).await
    }

    async fn change(
        &mut self,
        of: (&'static str, String),
        body: Option<String>,
    ) -> Result<u64, db::Error> {
        self.draft.add(&mut self.tx, of, body).await
    }

    /// Makes the answer wait until every living copy has applied what this transaction changes.
    pub fn wait_for_copies(&mut self) {
        self.waits = true;
    }

    /// Has something done with what the component keeps in memory once this is so, and not before.
    pub fn then(&mut self, act: impl FnOnce(&S) + Send + Sync + 'static) {
        self.then.push(Box::new(act));
    }

    /// Makes it so.
    pub async fn commit(mut self) -> Result<(), Problem> {
        let (awaited, revision) = (self.awaited().await?, self.draft.revision());
        let room = self.room.inner();
        let written = self.draft.write(&mut self.tx).await;
        written.map_err(|cause| database_failed(room.name, &cause))?;
        self.tx.commit().await.map_err(|cause| database_failed(room.name, &cause))?;
        if let Some(revision) = revision {
            room.followers.advance(revision);
        }
        if let Some(revision) = awaited {
            room.followers.barrier(revision).await;
        }
        for act in self.then {
            act(self.room.state());
        }
        self.room.nudge();
        Ok(())
    }

    /// The revision that every living copy must have applied before the answer is given.
    async fn awaited(&mut self) -> Result<Option<u64>, Problem> {
        if !self.waits || self.draft.revision().is_some() {
            return Ok(self.draft.revision().filter(|_| self.waits));
        }
        // What is asked for was there before: whoever wrote it may still be waiting for copies.
        let head = feed::head(&mut self.tx).await;
        head.map(Some).map_err(|cause| database_failed(self.room.inner().name, &cause))
    }

    /// Makes it so together with the answer, such that the same request again gets that answer.
    pub async fn finish<R: serde::Serialize + Sync>(mut self, reply: R) -> Result<R, Problem> {
        if let Some(repeat) = self.repeat.take() {
            let (now, awaited) = (self.now(), self.awaited().await?);
            repeat.keep(&mut self.tx, &reply, awaited, now).await?;
        }
        self.commit().await?;
        Ok(reply)
    }
}
