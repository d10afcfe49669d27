//! Connections to endpoints: kept for the next request where that is safe, else made for one.
//!
//! Each worker has a pool of its own, so that none waits for another and a connection stays on the
//! thread that drives it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    error::Error,
    future::poll_fn,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use api::manifest::Protocol;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::{net::TcpStream, task::spawn_local, time::Instant};

use super::{
    connection::Connection,
    connector::Connector,
    endpoint::Endpoint,
    multiplexed::{self, Shared},
};
use crate::request::body::Lent;

/// How long a connection to an endpoint is kept without being used. Shorter than applications do:
/// those that close soonest do so after 2 s.
const IDLE_MAX: Duration = Duration::from_millis(1_500);
/// How often those are closed that were kept for too long.
const SWEEP_PERIOD: Duration = Duration::from_millis(500);
/// So many are kept for one endpoint.
const KEPT_MAX: usize = 256;

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("no connection to it: {0}")]
    Connect(Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("the request has no form in HTTP/2: {0}")]
    Unfit(#[from] http::Error),
}

impl AskError {
    /// Whether the endpoint has seen nothing of the request.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_))
    }
}

/// The connections of one worker.
pub(crate) struct Pool {
    connector: Connector,
    kept: RefCell<HashMap<SocketAddr, Vec<Kept>>>,
    shared: RefCell<HashMap<SocketAddr, Shared>>,
    is_swept: Cell<bool>,
}

struct Kept {
    connection: Connection,
    since: Instant,
}

/// A connection over which an answer comes.
pub(crate) struct Lease {
    /// Until the answer has ended.
    connection: Option<Connection>,
    /// Where it goes once the answer has ended.
    back: Option<(Rc<Pool>, SocketAddr)>,
    /// One over which others come too.
    _shared: Option<Shared>,
}

impl Pool {
    pub(crate) fn new() -> Rc<Self> {
        let (kept, shared, is_swept) = (RefCell::default(), RefCell::default(), Cell::default());
        Rc::new(Self { connector: Connector::new(), kept, shared, is_swept })
    }

    /// Sends a request to `endpoint`; `make` makes it, once more if it has to be sent again.
    ///
    /// The application may close a connection that was kept just when a request is sent on it. Only
    /// what can then be sent again goes there, once, over a fresh one: what changes nothing (RFC
    /// 9110, 9.2.1) and has no body, which an application that does not read it would leave on the
    /// connection, to be read as the next request, which nobody judged. A PUT or DELETE could be
    /// repeated too (9.2.2), but its second answer might tell of another's change.
    pub(crate) async fn ask(
        self: &Rc<Self>,
        endpoint: &Endpoint,
        protocol: Protocol,
        make: impl Fn() -> Request<Lent>,
    ) -> Result<(Response<Incoming>, Lease), AskError> {
        if protocol == Protocol::H2c {
            return Box::pin(self.ask_shared(endpoint, make)).await;
        }
        let request = make();
        if !asks_only(&request) || request.headers().contains_key(header::UPGRADE) {
            return Box::pin(self.ask_once(endpoint, request)).await;
        }
        let kept = self.take(endpoint.address).await;
        let was_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Box::pin(self.open(endpoint)).await?,
        };
        match connection.send(request).await {
            Ok(answer) => {
                let back = Some((Rc::clone(self), endpoint.address));
                Ok((answer, Lease { connection: Some(connection), back, _shared: None }))
            }
            Err(_) if was_kept && !connection.has_heard() => {
                Box::pin(self.ask_once(endpoint, make())).await
            }
            Err(cause) => Err(cause.into()),
        }
    }

    /// Over a connection for this request alone.
    async fn ask_once(
        &self,
        endpoint: &Endpoint,
        mut request: Request<Lent>,
    ) -> Result<(Response<Incoming>, Lease), AskError> {
        request
            .headers_mut()
            .entry(header::CONNECTION)
            .or_insert(HeaderValue::from_static("close"));
        let mut connection = self.open(endpoint).await?;
        let answer = connection.send(request).await?;
        Ok((answer, Lease { connection: Some(connection), back: None, _shared: None }))
    }

    /// Over the connection that is shared, or a fresh one if that has ended. A request is sent again
    /// only if it was not sent at all, or asks only.
    async fn ask_shared(
        self: &Rc<Self>,
        endpoint: &Endpoint,
        make: impl Fn() -> Request<Lent>,
    ) -> Result<(Response<Incoming>, Lease), AskError> {
        let fit = || -> Result<_, AskError> {
            let mut request = make();
            multiplexed::fit(&mut request)?;
            Ok(request)
        };
        let mut request = fit()?;
        let shared = self.shared.borrow().get(&endpoint.address).cloned();
        if let Some(mut shared) = shared.filter(Shared::is_open) {
            shared.since = Instant::now();
            self.share(endpoint.address, &shared);
            request = match shared.send(request).await {
                Ok(answer) => return Ok((answer, Lease::of(shared))),
                Err(mut cause) => {
                    let unsent = cause.take_message();
                    let is_sent = unsent.is_none();
                    let again = unsent.map_or_else(fit, Ok)?;
                    if is_sent && (shared.is_open() || !asks_only(&again)) {
                        return Err(cause.into_error().into());
                    }
                    again
                }
            };
        }
        let stream = self.connector.connect(&endpoint.uri).await.map_err(AskError::Connect)?;
        let mut shared = Shared::new(stream).await?;
        self.share(endpoint.address, &shared);
        let answer = shared.send(request).await.map_err(TrySendError::into_error)?;
        Ok((answer, Lease::of(shared)))
    }

    fn share(self: &Rc<Self>, address: SocketAddr, shared: &Shared) {
        self.shared.borrow_mut().insert(address, shared.clone());
        self.is_to_be_swept();
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Connection, AskError> {
        let stream = self.connector.connect(&endpoint.uri).await.map_err(AskError::Connect)?;
        Ok(Connection::new(stream).await?)
    }

    async fn take(&self, address: SocketAddr) -> Option<Connection> {
        loop {
            let mut kept = self.kept.borrow_mut().get_mut(&address)?.pop()?;
            let is_free = |cx: &mut Context<'_>| Poll::Ready(kept.connection.poll_is_free(cx));
            if kept.since.elapsed() < IDLE_MAX && poll_fn(is_free).await {
                return Some(kept.connection);
            }
        }
    }

    fn keep(self: &Rc<Self>, address: SocketAddr, connection: Connection) {
        let mut kept = self.kept.borrow_mut();
        let there = kept.entry(address).or_default();
        if there.len() < KEPT_MAX {
            there.push(Kept { connection, since: Instant::now() });
        }
        drop(kept);
        self.is_to_be_swept();
    }

    fn is_to_be_swept(self: &Rc<Self>) {
        if !self.is_swept.replace(true) {
            let pool = Rc::clone(self);
            spawn_local(async move { pool.sweep().await });
        }
    }

    /// Closes what was kept for too long, until nothing is kept.
    async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_PERIOD).await;
            let mut kept = self.kept.borrow_mut();
            kept.retain(|_, there| {
                there.retain(|kept| kept.since.elapsed() < IDLE_MAX);
                !there.is_empty()
            });
            let mut shared = self.shared.borrow_mut();
            shared.retain(|_, it| it.is_open() && !(it.is_idle() && it.since.elapsed() > IDLE_MAX));
            if kept.is_empty() && shared.is_empty() {
                self.is_swept.set(false);
                return;
            }
        }
    }
}

/// Whether nothing is changed by sending it again, and nothing is left over if that is not read.
fn asks_only(request: &Request<Lent>) -> bool {
    request.method().is_safe() && request.body().is_empty()
}

impl Lease {
    fn of(shared: Shared) -> Self {
        Self { connection: None, back: None, _shared: Some(shared) }
    }

    /// Polls what comes over the connection.
    pub(crate) fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match &mut self.connection {
            Some(connection) => connection.poll_with(cx, poll),
            None => poll(cx),
        }
    }

    /// The connection itself, where both sides go on with another protocol, and what has come on it
    /// already.
    pub(crate) async fn switched(self) -> Option<(TcpStream, Bytes)> {
        self.connection?.switched().await
    }

    /// The answer has been read to its end: the connection is kept, if it can be.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) {
        if let Some(mut connection) = self.connection.take()
            && let Some((pool, address)) = &self.back
            && connection.poll_is_free(cx)
        {
            pool.keep(*address, connection);
        }
    }
}
