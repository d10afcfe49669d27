//! nginx and HAProxy as processes of their own, each in a folder of its own.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::cpu::Whose;

/// With many hosts they read for long.
const START_TIME_MAX: Duration = Duration::from_mins(1);

/// A process that listens.
pub(crate) struct Peer {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Starts nginx in `folder`; `configured` writes its configuration, given where to listen.
    pub(crate) fn nginx(
        folder: &Path,
        configured: impl Fn(SocketAddr) -> String,
    ) -> anyhow::Result<Self> {
        Self::start("nginx", folder, configured, |command, file| {
            command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log"));
            command.arg("-c").arg(file);
        })
    }

    /// Starts HAProxy, as [`Peer::nginx`].
    pub(crate) fn haproxy(
        folder: &Path,
        configured: impl Fn(SocketAddr) -> String,
    ) -> anyhow::Result<Self> {
        Self::start("haproxy", folder, configured, |command, file| {
            command.arg("-db").arg("-f").arg(file);
        })
    }

    fn start(
        program: &str,
        folder: &Path,
        configured: impl Fn(SocketAddr) -> String,
        arguments: impl Fn(&mut Command, &Path),
    ) -> anyhow::Result<Self> {
        let package = || format!("{program} is not installed: `apt-get install {program}`");
        let path = installed(program).with_context(package)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        std::fs::create_dir_all(folder)?;
        let file = folder.join("configuration");
        std::fs::write(&file, configured(address))?;
        let mut command = Command::new(path);
        arguments(&mut command, &file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut peer = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let log = || std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            let waits = begun.elapsed() < START_TIME_MAX && peer.child.try_wait()?.is_none();
            ensure!(waits, "{program} does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }

    /// The process that nginx starts for the work.
    pub(crate) fn workers(&self) -> Whose {
        Whose::Children(self.child.id())
    }

    /// The process itself, as with HAProxy.
    pub(crate) fn itself(&self) -> Whose {
        Whose::Process(self.child.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// An nginx that forwards what comes to `address` to an `application`, which `backend` names.
pub(crate) fn nginx_forward(address: SocketAddr, backend: &str, application: SocketAddr) -> String {
    format!(
        "  upstream application {{
    server {application};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://{backend};
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"
    )
}

/// What nginx is configured with before anything else.
pub(crate) fn nginx_head(folder: &Path, workers: usize, log: bool) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    let log = if log { format!("{}/access.log", folder.display()) } else { "off".to_owned() };
    format!(
        "daemon off;
worker_processes {workers};
user root;
pid {}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log {log};
  keepalive_requests 1000000000;
{temporary}",
        folder.display()
    )
}
