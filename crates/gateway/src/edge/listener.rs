//! Takes connections, until it is to end.

use std::{rc::Rc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::spawn_local};

use super::{
    client::Client,
    connection::{self, Accepted},
    ending::Endings,
    limits::Limits,
};
use crate::phases::worker::Worker;

/// How long what is under way may take to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// Serves what comes to `listener` until `ending` says so, and then until what is under way is done;
/// breaks off when nobody could say so any more.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    listener: TcpListener,
    limits: &Limits,
    mut ending: watch::Receiver<bool>,
) {
    let endings = Endings::new(ending.clone());
    let told = tokio::select! {
        // The listener is closed with this future: the machine refuses what comes later.
        () = accept(worker, listener, limits, &endings) => return,
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

async fn accept(worker: &Rc<Worker>, listener: TcpListener, limits: &Limits, endings: &Endings) {
    loop {
        let Some(room) = limits.room().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(slot) = limits.take(room, peer.ip()) else { continue };
                let accepted = Accepted { stream, client: Client { peer, slot: Rc::new(slot) } };
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
