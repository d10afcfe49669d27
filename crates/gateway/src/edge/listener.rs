//! Takes connections, until it is to end.

use std::{future::Future, sync::Arc, time::Duration};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use super::{
    connection::{self, Accepted},
    limits::Limits,
};
use crate::state::State;

/// How long what is under way may take to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// Serves what comes to `listener` until `shutdown` ends, and then until what is under way is done.
pub(crate) async fn serve(
    state: &Arc<State>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    tokio::select! {
        // The listener is closed with this future: the machine refuses what comes later.
        () = accept(state, listener, &graceful) => {}
        () = shutdown => {}
    }
    if tokio::time::timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and are broken off");
    }
}

async fn accept(state: &Arc<State>, listener: TcpListener, graceful: &GracefulShutdown) {
    let limits = Limits::new(state.proxies.clone());
    loop {
        let Some(room) = limits.room().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(slot) = limits.take(room, peer.ip()) else { continue };
                let accepted = Accepted { stream, peer, slot: Arc::new(slot) };
                tokio::spawn(connection::serve(Arc::clone(state), accepted, graceful.watcher()));
            }
            Err(cause) => {
                // Out of file descriptors, most likely: others must end first.
                tracing::warn!(%cause, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
