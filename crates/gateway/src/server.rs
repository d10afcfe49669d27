//! Connections: taking them, limiting them, and letting them end.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    answer,
    connections::{Connections, Slot},
    framing::{Doubt, Framing},
    front::Front,
    journal,
    patient::Patient,
    quiet, reach,
};

/// How long a connection may take for the head of a request, also when it waits for the next one.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 100;
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// How long what is under way may take to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);
/// How long the last usage may take to be sent; what is not sent is sent after the next start.
const LAST_USAGE_TIME_MAX: Duration = Duration::from_secs(5);

/// Serves until `shutdown` ends, and then until what is under way is done.
pub(crate) async fn run(
    front: Arc<Front>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) {
    let source = format!("gateway/{}", front.name);
    let follower = format!("{}.gateway", front.name);
    let routes = front.routes.keep(front.client.clone(), follower.clone());
    let fleet = front.fleet.keep(front.client.clone(), follower.clone());
    let quiet = quiet::tell(&front.routes, front.client.clone(), follower.clone());
    let reach = Box::pin(reach::tell(&front, front.client.clone(), follower));
    let usage = journal::send(Arc::clone(&front.journal), front.client.clone(), source.clone());
    tokio::select! {
        () = serve(&front, listener, shutdown) => {}
        ((), (), (), (), ()) = async { tokio::join!(routes, fleet, usage, quiet, reach) } => {}
    }
    let last = journal::drain(&front.journal, &front.client, &source);
    if !matches!(tokio::time::timeout(LAST_USAGE_TIME_MAX, last).await, Ok(Ok(()))) {
        tracing::info!("some usage is kept and sent after the next start");
    }
}

async fn serve(front: &Arc<Front>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    tokio::select! {
        // The listener is closed with this future: the machine refuses what comes later.
        () = accept(front, listener, &graceful) => {}
        () = shutdown => {}
    }
    if tokio::time::timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and are broken off");
    }
}

async fn accept(front: &Arc<Front>, listener: TcpListener, graceful: &GracefulShutdown) {
    let connections = Connections::new(front.proxies.clone());
    loop {
        let Some(room) = connections.room().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(slot) = connections.take(room, peer.ip()) else { continue };
                let accepted = Accepted { stream, peer, slot: Arc::new(slot) };
                tokio::spawn(connection(Arc::clone(front), accepted, graceful.watcher()));
            }
            Err(cause) => {
                // Out of file descriptors, most likely: others must end first.
                tracing::warn!(%cause, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    slot: Arc<Slot>,
}

async fn connection(front: Arc<Front>, accepted: Accepted, watcher: Watcher) {
    let Accepted { stream, peer, slot } = accepted;
    // Small answers must not wait for the other side's acknowledgement.
    let _ = stream.set_nodelay(true);
    let doubt = Doubt::default();
    let framing = Framing::new(doubt.clone());
    let number = AtomicU64::new(0);
    let service = service_fn(move |request: Request<Incoming>| {
        let (front, slot) = (Arc::clone(&front), Arc::clone(&slot));
        let doubtful = doubt.is_about(number.fetch_add(1, Ordering::Relaxed) + 1);
        // A task of its own: a visitor who leaves after having asked does not undo what the
        // application does, nor its being counted. It keeps its slot until it is done.
        let answering = tokio::spawn(async move {
            let answer = front.answer(peer.ip(), request, doubtful).await;
            drop(slot);
            answer
        });
        async move { Ok::<_, Infallible>(answering.await.unwrap_or_else(|_| answer::broken())) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who says that nothing more will be asked still waits for the answer.
        .half_close(true)
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, framing)), service);
    if let Err(cause) = watcher.watch(connection).await {
        tracing::debug!(%peer, %cause, "a connection broke off");
    }
}
