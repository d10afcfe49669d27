//! Those that stand beside the gateway, and the application behind all.

use std::{net::SocketAddr, os::unix::net::UnixDatagram, path::Path};

use super::write;
use crate::front::peer::{Peer, nginx_forward, nginx_head};

/// How long the page of the application is.
const BYTES: usize = 1_024;

/// An nginx that answers every request with the same page.
pub(super) fn application(folder: &Path) -> anyhow::Result<Peer> {
    Peer::nginx(folder, |address| {
        let page = "x".repeat(BYTES);
        format!(
            "{}  server {{ listen {address}; default_type text/html; return 200 {page}; }}\n}}\n",
            nginx_head(folder, 1, false)
        )
    })
}

/// What only forwards.
pub(super) struct Peers {
    pub(super) nginx: Peer,
    pub(super) haproxy: Peer,
}

impl Peers {
    /// Each knows `hosts`, has one worker and writes a line for each request.
    pub(super) fn start(
        folder: &Path,
        hosts: &[String],
        application: SocketAddr,
    ) -> anyhow::Result<Self> {
        let folder = folder.join(hosts.len().to_string());
        let (own, map) = (folder.join("nginx"), folder.join("nginx.map"));
        let line = |end: &'static str| move |host: &String| format!("{host} application{end}\n");
        write(&map, &hosts.iter().map(line(";")).collect::<String>())?;
        let nginx = Peer::nginx(&own, |address| nginx(&own, &map, address, application))?;
        let (own, map) = (folder.join("haproxy"), folder.join("haproxy.map"));
        write(&map, &hosts.iter().map(line("")).collect::<String>())?;
        let log = own.join("log");
        std::fs::create_dir_all(&own)?;
        collect(&log)?;
        let haproxy = Peer::haproxy(&own, |address| haproxy(&map, &log, address, application))?;
        Ok(Self { nginx, haproxy })
    }
}

/// HAProxy writes its log to a socket; somebody has to read it.
fn collect(socket: &Path) -> anyhow::Result<()> {
    let log = UnixDatagram::bind(socket)?;
    std::thread::Builder::new().name("log".to_owned()).spawn(move || {
        let mut line = [0; 4_096];
        while log.recv(&mut line).is_ok() {}
    })?;
    Ok(())
}

fn nginx(folder: &Path, map: &Path, address: SocketAddr, application: SocketAddr) -> String {
    format!(
        "{}  map_hash_max_size 1048576;
  map_hash_bucket_size 128;
  map $host $backend {{ include {}; }}
{}",
        nginx_head(folder, 1, true),
        map.display(),
        nginx_forward(address, "$backend", application),
    )
}

fn haproxy(map: &Path, log: &Path, address: SocketAddr, application: SocketAddr) -> String {
    format!(
        "global
  nbthread 1
  maxconn 4000
  log {log} format raw local0
defaults
  mode http
  log global
  option httplog
  option forwardfor
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend public
  bind {address}
  use_backend %[req.hdr(host),lower,map({map})]
backend application
  server one {application}
",
        log = log.display(),
        map = map.display(),
    )
}
