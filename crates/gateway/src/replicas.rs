//! The replicas that can answer, and which of them is asked next.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response, header, uri};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    bodies::Lent,
    upstream::{Connector, connector, was_stale},
};

/// How long a replica may take to accept a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// A machine that takes so long to say that it has received something is gone. It is asked whether it is
/// there while an answer is waited for, at first after so long and then each second.
const SILENT_MAX: Duration = Duration::from_secs(5);
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// How long a connection to a replica is kept without being used. Shorter than applications do:
/// those that close soonest do so after 2 s.
const POOL_IDLE_MAX: Duration = Duration::from_millis(1_500);
const POOL_SIZE_MAX: usize = 256;
/// How long a replica that could not be reached comes last.
const SHUN_MILLIS: i64 = 1_000;
const ANSWER_HEADERS_MAX: usize = 200;
const ANSWER_BUFFER_BYTES_MAX: usize = 128 << 10;

/// A running process that can answer.
#[derive(Debug)]
pub(crate) struct Replica {
    /// Its name in the feed.
    pub(crate) key: String,
    /// Where it listens.
    pub(crate) authority: uri::Authority,
    in_flight: AtomicUsize,
    /// Until when it comes last, in milliseconds since this process began.
    shunned: AtomicI64,
    /// Nobody has heard of its node for a while: it is asked if no other can be.
    silent: AtomicBool,
}

impl Replica {
    /// A replica at `address`, if that is a socket's.
    pub(crate) fn new(key: &str, address: &str) -> Option<Self> {
        address.parse::<SocketAddr>().ok()?;
        let authority = address.parse().ok()?;
        let (in_flight, shunned) = (AtomicUsize::default(), AtomicI64::default());
        let silent = AtomicBool::default();
        Some(Self { key: key.to_owned(), authority, in_flight, shunned, silent })
    }

    /// Says whether its node is silent.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// Whether it listens there.
    pub(crate) fn is_at(&self, address: &str) -> bool {
        self.authority.as_str() == address
    }
}

/// A request that a replica is busy with.
pub(crate) struct InFlight(Arc<Replica>);

impl InFlight {
    /// Counts a request until this is dropped.
    pub(crate) fn new(replica: &Arc<Replica>) -> Self {
        replica.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(replica))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

type Client = legacy::Client<Connector, Lent>;

/// The ways to replicas.
pub(crate) struct Replicas {
    /// Over connections that are kept open between requests.
    kept: Client,
    /// Over a connection for each request.
    fresh: Client,
    began: Instant,
    turn: AtomicUsize,
}

impl Replicas {
    pub(crate) fn new() -> Self {
        let (kept, fresh) = (client(POOL_SIZE_MAX), client(0));
        Self { kept, fresh, began: Instant::now(), turn: AtomicUsize::default() }
    }

    /// Sends a request to the replica that its address names.
    ///
    /// The application may close a connection that was kept just when a request is sent on it. Only
    /// what can then be sent again goes there, once, over a fresh one: what changes nothing (RFC
    /// 9110, 9.2.1) and has no body, which an application that does not read it would leave on the
    /// connection, to be read as the next request, which nobody judged. A PUT or DELETE could be
    /// repeated too (9.2.2), but its second answer might tell of another's change.
    pub(crate) async fn ask(
        &self,
        request: Request<Lent>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        if !request.method().is_safe() || !request.body().is_empty() {
            return self.fresh.request(last(request)).await;
        }
        match self.kept.request(request.clone()).await {
            Err(cause) if was_stale(&cause) => self.fresh.request(last(request)).await,
            outcome => outcome,
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The one with the least to do among those that could be reached lately and whose nodes are
    /// heard of; among equals they take turns. If there is none, all are tried all the same.
    pub(crate) fn choose<'a>(
        &self,
        all: &'a [Arc<Replica>],
        tried: &[&Arc<Replica>],
    ) -> Option<&'a Arc<Replica>> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % all.len().max(1);
        let (after, before) = all.split_at_checked(first)?;
        let in_turn = before.iter().chain(after);
        let now = self.now();
        in_turn.filter(|replica| !tried.iter().any(|tried| Arc::ptr_eq(tried, replica))).min_by_key(
            |replica| {
                let shunned = replica.shunned.load(Ordering::Relaxed) > now;
                let silent = replica.silent.load(Ordering::Relaxed);
                (shunned, silent, replica.in_flight.load(Ordering::Relaxed))
            },
        )
    }

    /// It could not be reached.
    pub(crate) fn shun(&self, replica: &Replica) {
        replica.shunned.store(self.now() + SHUN_MILLIS, Ordering::Relaxed);
    }
}

fn client(idle_max: usize) -> Client {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_TIME_MAX));
    http.set_nodelay(true);
    // What was sent to a machine that has lost its power or its network would be waited for.
    http.set_tcp_user_timeout(Some(SILENT_MAX));
    http.set_keepalive(Some(SILENT_MAX));
    http.set_keepalive_interval(Some(ASKED_AGAIN));
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_MAX)
        .pool_max_idle_per_host(idle_max)
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .http1_max_buf_size(ANSWER_BUFFER_BYTES_MAX)
        .build(connector(http))
}

/// The last request on its connection.
fn last(mut request: Request<Lent>) -> Request<Lent> {
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_busy_comes_first_and_the_unreachable_last() {
        let all: Vec<_> = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
            .iter()
            .map(|address| Arc::new(Replica::new(address, address).unwrap()))
            .collect();
        let replicas = Replicas::new();
        assert!(replicas.choose(&[], &[]).is_none());
        let _busy = [InFlight::new(&all[0]), InFlight::new(&all[0]), InFlight::new(&all[1])];
        for _ in 0..5 {
            assert_eq!(replicas.choose(&all, &[]).unwrap().key, "127.0.0.1:3");
        }
        all[2].set_silent(true);
        assert_eq!(replicas.choose(&all, &[]).unwrap().key, "127.0.0.1:2");
        assert_eq!(replicas.choose(&all, &[&all[0], &all[1]]).unwrap().key, "127.0.0.1:3");
        all[2].set_silent(false);
        replicas.shun(&all[2]);
        assert_eq!(replicas.choose(&all, &[]).unwrap().key, "127.0.0.1:2");
        assert_eq!(replicas.choose(&all, &[&all[0], &all[1]]).unwrap().key, "127.0.0.1:3");
        assert!(replicas.choose(&all, &all.iter().collect::<Vec<_>>()).is_none());
    }

    #[test]
    fn an_address_is_a_socket() {
        for bad in ["", "localhost:80", "127.0.0.1", "evil.example:80", "127.0.0.1:80/x"] {
            assert!(Replica::new("a", bad).is_none(), "{bad}");
        }
    }
}
