//! nginx before the same application.

use std::{net::SocketAddr, path::Path};

use super::peer::{Peer, installed, nginx_head};

/// Starts it, if it is installed: as many workers and connections kept as the gateway has, and a
/// line in a file for each request, as the gateway writes one.
pub(crate) fn start(folder: &Path, application: SocketAddr) -> anyhow::Result<Option<Peer>> {
    if installed("nginx").is_none() {
        return Ok(None);
    }
    let own = folder.join("nginx");
    Peer::nginx(&own, |address| configuration(&own, address, application)).map(Some)
}

fn configuration(folder: &Path, address: SocketAddr, application: SocketAddr) -> String {
    format!(
        "{}
  upstream application {{ server {application}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://application;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
",
        nginx_head(folder, 2, true),
    )
}
