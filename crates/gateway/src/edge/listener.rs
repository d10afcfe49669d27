//! Takes connections, until it is to end.

use std::{rc::Rc, time::Duration};

use futures_util::future::join_all;
use tokio::{net::TcpListener, sync::watch, task::spawn_local};
use tokio_rustls::TlsAcceptor;

use super::{
    client::Client,
    connection::{self, Accepted},
    ending::Endings,
    limits::Limits,
};
use crate::phases::worker::Worker;

/// How long what is under way may take to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// Where connections are taken, and what speaks TLS on them if that is spoken.
pub(super) type Listener = (TcpListener, Option<TlsAcceptor>);

/// Serves what comes to `listeners` until `ending` says so, and then until what is under way is done;
/// breaks off when nobody could say so any more.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    listeners: Vec<Listener>,
    limits: &Limits,
    mut ending: watch::Receiver<bool>,
) {
    let endings = Endings::new(ending.clone());
    let all = listeners.into_iter().map(|it| accept(worker, it, limits, &endings));
    let told = tokio::select! {
        // The listeners are closed with these futures: the machine refuses what comes later.
        _ = join_all(all) => return,
        told = ending.wait_for(|is_ending| *is_ending) => told.is_ok(),
    };
    if !told {
        return;
    }
    let ended = tokio::select! {
        ended = tokio::time::timeout(DRAIN_TIME_MAX, endings.ended()) => ended.is_ok(),
        _ = ending.changed() => false,
    };
    if !ended {
        tracing::warn!("some requests did not end in time and are broken off");
    }
}

async fn accept(
    worker: &Rc<Worker>,
    (listener, tls): Listener,
    limits: &Limits,
    endings: &Endings,
) {
    loop {
        let Some(room) = limits.room().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(slot) = limits.take(room, peer.ip()) else { continue };
                let client = Client { peer, is_tls: tls.is_some(), slot: Rc::new(slot) };
                let accepted = Accepted { stream, client, tls: tls.clone() };
                spawn_local(connection::serve(Rc::clone(worker), accepted, endings.one()));
            }
            Err(cause) => {
                // Out of file descriptors, most likely: others must end first.
                tracing::warn!(%cause, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
