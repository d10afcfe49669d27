//! nginx before the same application.

use std::{net::SocketAddr, path::Path};

use super::peer::{Peer, installed, nginx_forward, nginx_head};

/// Starts it, if it is installed: as many workers and connections kept as the gateway has, and a
/// line in a file for each request, as the gateway writes one.
pub(crate) fn start(folder: &Path, application: SocketAddr) -> anyhow::Result<Option<Peer>> {
    if installed("nginx").is_none() {
        return Ok(None);
    }
    let own = folder.join("nginx");
    let configured =
        |address| nginx_head(&own, 2, true) + &nginx_forward(address, "application", application);
    Peer::nginx(&own, configured).map(Some)
}
