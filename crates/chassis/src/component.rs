//! A component before it is mounted: its name, tables, state, handlers and loops.

use std::{collections::BTreeSet, future::Future, pin::Pin, sync::Arc};

use api::{Operation, Problem, feed::Feed};
use axum::Router;
use bytes::Bytes;

use crate::{
    Next, Room,
    call::{Call, Write},
    door::{self, Door},
    feed::Update,
    reconcile::Wakes,
};

pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Route<S> = Box<dyn FnOnce(Router, &Arc<Door<S>>) -> Router + Send>;
type Loop<S> = Box<dyn FnOnce(Room<S>, &str) -> Task + Send>;
type Opening<S> =
    Box<dyn FnOnce(Room<S>) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>> + Send>;

/// What a component is made of.
pub struct Component<S> {
    pub(crate) name: &'static str,
    pub(crate) migrations: &'static [db::Migration],
    pub(crate) state: S,
    pub(crate) routes: Vec<Route<S>>,
    pub(crate) loops: Vec<Loop<S>>,
    pub(crate) opening: Option<Opening<S>>,
    served: BTreeSet<&'static str>,
}

/// A handler that is given no transaction: `async fn(Call<S>, O)`.
pub trait CallHandler<S, O: Operation>: Send + Sync + 'static {
    /// Why it refuses, in the component's own words.
    type Error: Into<Problem> + 'static;
    /// What the handler returns when called.
    type Answer: Future<Output = Result<O::Reply, Self::Error>> + Send + 'static;
    /// Calls it.
    fn call(&self, call: Call<S>, operation: O) -> Self::Answer;
}

impl<S, O, F, A, E> CallHandler<S, O> for F
where
    O: Operation,
    F: Fn(Call<S>, O) -> A + Send + Sync + 'static,
    A: Future<Output = Result<O::Reply, E>> + Send + 'static,
    E: Into<Problem> + 'static,
{
    type Error = E;
    type Answer = A;
    fn call(&self, call: Call<S>, operation: O) -> A {
        self(call, operation)
    }
}

/// A handler that answers within one transaction: `async fn(&mut Write<S>, O)`.
pub trait WriteHandler<'a, S: 'static, O: Operation>: Send + Sync + 'static {
    /// Why it refuses, in the component's own words.
    type Error: Into<Problem>;
    /// What the handler returns when called.
    type Answer: Future<Output = Result<O::Reply, Self::Error>> + Send + 'a;
    /// Calls it.
    fn call(&self, write: &'a mut Write<S>, operation: O) -> Self::Answer;
}

impl<'a, S, O, F, A, E> WriteHandler<'a, S, O> for F
where
    S: 'static,
    O: Operation,
    F: Fn(&'a mut Write<S>, O) -> A + Send + Sync + 'static,
    A: Future<Output = Result<O::Reply, E>> + Send + 'a,
    E: Into<Problem>,
{
    type Error = E;
    type Answer = A;
    fn call(&self, write: &'a mut Write<S>, operation: O) -> A {
        self(write, operation)
    }
}

impl<S: Send + Sync + 'static> Component<S> {
    /// A component with nothing to answer yet.
    pub fn new(name: &'static str, migrations: &'static [db::Migration], state: S) -> Self {
        Self {
            name,
            migrations,
            state,
            routes: Vec::new(),
            loops: Vec::new(),
            opening: None,
            served: BTreeSet::new(),
        }
    }

    /// Answers an operation that changes nothing.
    #[must_use]
    pub fn reads<O: Operation>(self, handler: impl CallHandler<S, O>) -> Self {
        self.acts(handler)
    }

    /// Answers an operation that asks peers, waits, or begins transactions of its own.
    #[must_use]
    pub fn acts<O: Operation>(mut self, handler: impl CallHandler<S, O>) -> Self {
        self.served.insert(O::PERMISSION);
        let handler = Arc::new(handler);
        self.routes.push(Box::new(move |router, door| {
            door::route::<S, O, _, _, _>(router, door, move |call, operation| {
                handler.call(call, operation)
            })
        }));
        self
    }

    /// Answers an operation in a transaction that is committed if the handler succeeds.
    #[must_use]
    pub fn writes<O: Operation>(mut self, handler: impl for<'a> WriteHandler<'a, S, O>) -> Self {
        self.served.insert(O::PERMISSION);
        let handler = Arc::new(handler);
        self.routes.push(Box::new(move |router, door| {
            door::route::<S, O, _, _, Problem>(router, door, move |call: Call<S>, operation| {
                let handler = Arc::clone(&handler);
                async move {
                    let mut write = call.begin().await?;
                    let reply = handler.call(&mut write, operation).await.map_err(Into::into)?;
                    write.finish(reply).await
                }
            })
        }));
        self
    }

    /// Answers an operation whose body is bytes, at most `size_max` of them.
    #[must_use]
    pub fn takes_bytes<O, F, A, E>(mut self, size_max: usize, handler: F) -> Self
    where
        O: Operation,
        F: Fn(Call<S>, O, Bytes) -> A + Send + Sync + 'static,
        A: Future<Output = Result<O::Reply, E>> + Send + 'static,
        E: Into<Problem> + 'static,
    {
        self.served.insert(O::PERMISSION);
        let handler = Arc::new(handler);
        self.routes.push(Box::new(move |router, door| {
            door::upload_route::<S, O, _, _, _>(
                router,
                door,
                size_max,
                move |call, operation, body| handler(call, operation, body),
            )
        }));
        self
    }

    /// Answers an operation with bytes.
    #[must_use]
    pub fn gives_bytes<O, F, A, E>(mut self, handler: F) -> Self
    where
        O: Operation,
        F: Fn(Call<S>, O) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Bytes, E>> + Send + 'static,
        E: Into<Problem> + 'static,
    {
        self.served.insert(O::PERMISSION);
        let handler = Arc::new(handler);
        self.routes.push(Box::new(move |router, door| {
            door::download_route::<S, O, _, _, _>(router, door, move |call, operation| {
                handler(call, operation)
            })
        }));
        self
    }

    /// Serves the component's change feed.
    #[must_use]
    pub fn feeds<F: Feed>(self) -> Self {
        self.reads::<F::Follow>(door::follow_changes::<S, F>)
            .reads::<F::Read>(door::read_snapshot::<S, F>)
    }

    /// Runs `opening` once before anything is answered, at every start.
    #[must_use]
    pub fn opens<F, A, E>(mut self, opening: F) -> Self
    where
        F: FnOnce(Room<S>) -> A + Send + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Problem>,
    {
        self.opening = Some(Box::new(move |room| {
            let opening = opening(room);
            Box::pin(async move { opening.await.map_err(Into::into) })
        }));
        self
    }

    /// Keeps something true: `step` is run again and again, woken by every change in this
    /// component and by a timer; both take the same path.
    #[must_use]
    pub fn keeps<F, A, E>(mut self, what: &'static str, step: F) -> Self
    where
        F: Fn(Room<S>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Next, E>> + Send + 'static,
        E: Into<Problem> + 'static,
    {
        self.loops.push(Box::new(move |room, _| {
            Box::pin(crate::reconcile::keep(room, what, Wakes::ByChanges, step))
        }));
        self
    }

    /// The same for what follows from the time alone, such as what is forgotten after a while: no
    /// change wakes it.
    #[must_use]
    pub fn sweeps<F, A, E>(mut self, what: &'static str, step: F) -> Self
    where
        F: Fn(Room<S>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Next, E>> + Send + 'static,
        E: Into<Problem> + 'static,
    {
        self.loops.push(Box::new(move |room, _| {
            Box::pin(crate::reconcile::keep(room, what, Wakes::ByTime, step))
        }));
        self
    }

    /// Keeps a copy of another component's feed; `apply` is called with each update.
    #[must_use]
    pub fn follows<F: Feed>(
        mut self,
        apply: impl Fn(&Room<S>, Update) + Send + Sync + 'static,
    ) -> Self {
        self.loops.push(Box::new(move |room, house| {
            let name = format!("{house}.{}", room.inner().name);
            let client = room.peers().clone();
            let freshness = crate::Freshness::default();
            Box::pin(crate::feed::follow::<F>(client, name, freshness, move |update| {
                apply(&room, update);
                room.nudge();
            }))
        }));
        self
    }

    /// Which of its operations nobody answers; a component that is mounted has none.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let own = api::listings().into_iter().filter(|listing| listing.component == self.name);
        own.map(|listing| listing.permission).filter(|name| !self.served.contains(name)).collect()
    }
}
