//! Load by wrk, which asks for many hosts in turn.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::write;
use crate::front::peer::installed;

const CONNECTIONS: usize = 32;
/// So many requests are written beforehand; of more hosts, so many are asked for.
const REQUESTS_MAX: usize = 20_000;

/// What is asked, and where.
pub(super) struct Asked {
    address: SocketAddr,
    script: PathBuf,
    path: String,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) requests: f64,
    /// A second.
    pub(super) rate: f64,
    /// In microseconds.
    pub(super) p99: f64,
}

impl Asked {
    pub(super) fn new(
        folder: &Path,
        address: SocketAddr,
        path: &str,
        token: Option<&str>,
        hosts: &[String],
    ) -> anyhow::Result<Self> {
        let name = format!("{}-{}", address.port(), hosts.len());
        let some = folder.join(format!("{name}.hosts"));
        let step = hosts.len().div_ceil(REQUESTS_MAX);
        let lines = hosts.iter().step_by(step).map(|host| format!("{host}\n"));
        write(&some, &lines.collect::<String>())?;
        let with = token
            .map_or(String::new(), |token| format!(", [\"Authorization\"] = \"Bearer {token}\""));
        let which = if token.is_some() { "person" } else { "public" };
        let script = folder.join(format!("{name}-{which}.lua"));
        let text = format!(
            "local requests, count, place = {{}}, 0, 0
init = function()
  for host in io.lines(\"{hosts}\") do
    count = count + 1
    requests[count] = wrk.format(\"GET\", \"{path}\", {{ [\"Host\"] = host{with} }})
  end
end
request = function()
  place = place % count + 1
  return requests[place]
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format(\"RESULT %d %d %d %d\", summary.requests, summary.duration,
    latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))
end
",
            hosts = some.display(),
        );
        write(&script, &text)?;
        Ok(Self { address, script, path: path.to_owned() })
    }

    /// Whether `host` is answered.
    pub(super) fn answers(&self, host: &str) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(self.address)?;
            let path = &self.path;
            let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.starts_with("HTTP/1.1 200 "))
        };
        ask().unwrap_or(false)
    }

    pub(super) fn run(&self, time: Duration) -> anyhow::Result<Outcome> {
        let program = installed("wrk").context("wrk is not installed: `apt-get install wrk`")?;
        let run = Command::new(program)
            .args(["-t", "1", "-c", &CONNECTIONS.to_string()])
            .args(["-d", &format!("{}s", time.as_secs())])
            .arg("-s")
            .arg(&self.script)
            .arg(format!("http://{}{}", self.address, self.path))
            .output()?;
        let text = String::from_utf8_lossy(&run.stdout);
        let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
        let result = result.with_context(|| format!("wrk says nothing: {text}"))?;
        let numbers: Result<Vec<f64>, _> = result.split(' ').map(str::parse).collect();
        let [requests, micros, p99, errors] = numbers?[..] else {
            anyhow::bail!("wrk says `{result}`");
        };
        ensure!(errors == 0.0, "{errors} requests failed: {text}");
        Ok(Outcome { requests, rate: requests / micros * 1e6, p99 })
    }
}
