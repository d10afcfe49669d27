//! Gives packages to other nodes of this installation, where that is set: parts of those that are
//! checked and ready here, to whoever shows a ticket that the platform has signed for just that
//! package of just this node. Nobody else learns anything, not even what is here.

use std::{
    convert::Infallible,
    fs,
    io::{self, Read as _, Seek as _},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{
    http::token,
    releases::{TICKET_LIFE, ticket_audience},
};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use types::Digest;

use super::Releases;
use crate::Node;

/// So many connections are served at once; others wait.
const CONNECTIONS_MAX: usize = 16;
/// A part, which is in memory while it is sent, is at most so long.
const PART_BYTES_MAX: u64 = 1 << 20;
/// How long a request's head may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a connection may take, on which one part is asked for.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 32;
/// The component that signs tickets.
const SIGNS: &str = "releases";

/// What a node that shares packages needs to know.
pub(crate) struct Sharing {
    wanted: SocketAddr,
    open: Mutex<Option<Open>>,
    /// With which tickets are checked; nobody is given anything before that is known.
    key: Mutex<Option<VerifyingKey>>,
}

/// That it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    /// Where other nodes reach it.
    pub(crate) address: SocketAddr,
    /// Which time this is: tickets for another one are refused.
    pub(crate) session: u64,
}

impl Sharing {
    /// Packages are to be given out at `address`.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { wanted: address, open: Mutex::default(), key: Mutex::default() }
    }

    /// Where they are given out, if they are by now.
    pub(crate) fn open(&self) -> Option<Open> {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(&self) -> io::Result<TcpListener> {
        let listener = TcpListener::bind(self.wanted).await?;
        let open = Open { address: listener.local_addr()?, session: rand::random() };
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(listener)
    }

    /// Tickets are signed with this key from now on.
    pub(crate) fn trust(&self, key: &str) {
        let bytes = const_hex::decode_to_array(key).ok();
        let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    fn opens(&self, node: &Node, ticket: &str, digest: &Digest) -> bool {
        let key = *self.key.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = token::verify(ticket, |kid| key.filter(|_| kid == SIGNS));
        let Some((Open { session, .. }, (_, claims))) = self.open().zip(signed.ok()) else {
            return false;
        };
        let now = node.clock.now();
        claims.aud == ticket_audience(node.id, session, digest)
            && claims.is_valid_at(now)
            && !claims.is_of_the_future(now)
            && claims.exp.saturating_sub(claims.iat).unsigned_abs() <= TICKET_LIFE.as_secs()
    }
}

/// Gives packages out as long as it is polled, if that is set; never returns.
pub(crate) async fn serve(node: &Arc<Node>, releases: &Releases) {
    let Some(sharing) = &node.sharing else { return std::future::pending().await };
    let mut pauses = node.pace.pauses();
    // A port that somebody else has keeps nobody from running what is to run here.
    let listener = loop {
        match sharing.listen().await {
            Ok(listener) => break listener,
            Err(cause) => {
                let address = sharing.wanted;
                tracing::warn!(%address, %cause, "packages cannot be shared there now");
                tokio::time::sleep(pauses.take()).await;
            }
        }
    };
    node.changes.tell();
    accept(node, releases, listener).await;
}

async fn accept(node: &Arc<Node>, releases: &Releases, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut serving = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Too many files are open, or somebody has broken off.
            Err(cause) => {
                tracing::debug!(%cause, "nobody can be given a package now");
                tokio::time::sleep(node.pace.again).await;
                continue;
            }
        };
        while serving.try_join_next().is_some() {}
        let (node, releases) = (Arc::clone(node), releases.clone());
        serving.spawn(async move {
            let _place = place;
            // Whoever breaks off or is too slow asks again, or asks somebody else.
            let _ = tokio::time::timeout(CONNECTION_TIME_MAX, talk(&node, &releases, stream)).await;
        });
    }
}

async fn talk(node: &Arc<Node>, releases: &Releases, stream: TcpStream) -> hyper::Result<()> {
    let answering = service_fn(|request| async {
        Ok::<_, Infallible>(answer(node, releases, request).await.unwrap_or_else(|status| {
            let mut response = Response::new(Full::default());
            *response.status_mut() = status;
            response
        }))
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answering)
        .await
}

async fn answer(
    node: &Node,
    releases: &Releases,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, StatusCode> {
    let asked = Some(request.uri().path()).filter(|_| request.method() == Method::GET);
    let opened = asked.and_then(part_of).filter(|(digest, _)| {
        let ticket = ticket(&request).zip(node.sharing.as_ref());
        ticket.is_some_and(|(ticket, sharing)| sharing.opens(node, ticket, digest))
    });
    let (digest, offset) = opened.ok_or(StatusCode::UNAUTHORIZED)?;
    if !releases.shares(&digest) {
        return Err(StatusCode::NOT_FOUND);
    }
    let path = node.folder.package(&digest);
    let reading = tokio::task::spawn_blocking(move || {
        let mut file = fs::File::open(path)?;
        file.seek(io::SeekFrom::Start(offset))?;
        let mut part = Vec::new();
        file.take(PART_BYTES_MAX).read_to_end(&mut part)?;
        Ok::<_, io::Error>(part)
    });
    match reading.await {
        Ok(Ok(part)) => Ok(Response::new(Full::from(part))),
        _ => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// The package of which a part is asked for, and where the part begins: the path is that of
/// `GetPackagePart`, as at the platform.
fn part_of(path: &str) -> Option<(Digest, u64)> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let (digest, offset) = path.strip_prefix("/releases/v1/packages/")?.split_once("/parts/")?;
    Some((digest.parse().ok()?, offset.parse().ok()?))
}

fn ticket(request: &Request<Incoming>) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}
