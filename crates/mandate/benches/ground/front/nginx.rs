//! nginx before the same application, as a process of its own with a folder of its own.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::ensure;
use rustix::process::{Pid, Signal, kill_process};

const START_TIME_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// Starts it, if it is installed: as many workers and connections kept as the gateway has, and
    /// a line in a file for each request, as the gateway writes one.
    pub(crate) fn start(folder: &Path, application: SocketAddr) -> anyhow::Result<Option<Self>> {
        let Some(program) = installed() else { return Ok(None) };
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let own = folder.join("nginx");
        std::fs::create_dir_all(&own)?;
        let file = own.join("nginx.conf");
        std::fs::write(&file, configuration(&own, address, application))?;
        let mut command = Command::new(program);
        command.arg("-p").arg(&own).arg("-e").arg(own.join("error.log")).arg("-c").arg(&file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let nginx = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let log = || std::fs::read_to_string(own.join("error.log")).unwrap_or_default();
            ensure!(begun.elapsed() < START_TIME_MAX, "nginx does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(nginx))
    }

    /// The number of the process whose children do the work.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("nginx")).find(|file| file.is_file())
}

fn configuration(folder: &Path, address: SocketAddr, application: SocketAddr) -> String {
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(temporary, "  {kind}_temp_path {}/{kind};", folder.display());
    }
    format!(
        "daemon off;
worker_processes 2;
user {user};
pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log;
{temporary}
  upstream application {{ server {application}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen {address};
    keepalive_requests 1000000000;
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
        folder = folder.display(),
        user = "root",
    )
}
