//! Asks the same again and again, each connection for itself, as soon as it was answered.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Barrier,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::figures::{micros, percentile};

/// So many requests come before the first that counts.
const WARM_UP: usize = 50;
const ANSWER_BYTES_MAX: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked, and where.
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) request: &'a str,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Microseconds.
    times: Vec<f64>,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn requests(&self) -> u64 {
        self.times.len() as u64
    }

    /// Requests a second.
    #[expect(clippy::cast_precision_loss, reason = "some thousand requests")]
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn percentile(&mut self, share: f64) -> f64 {
        percentile(&mut self.times, share)
    }
}

impl Load<'_> {
    /// Whether the answer is a good one.
    pub(crate) fn answers(&self) -> bool {
        self.connect().is_ok_and(|mut line| line.ask().is_ok())
    }

    /// Asks for as long as `time`.
    pub(crate) fn run(&self, connections: usize, time: Duration) -> anyhow::Result<Outcome> {
        let start = Barrier::new(connections);
        let asking = || -> anyhow::Result<Outcome> {
            let warm = self.connect().and_then(|mut line| {
                for _ in 0..WARM_UP {
                    line.ask()?;
                }
                Ok(line)
            });
            // Also those who failed come here, lest the others wait.
            start.wait();
            let mut line = warm?;
            let begun = Instant::now();
            let mut times = Vec::new();
            while begun.elapsed() < time {
                let asked = Instant::now();
                line.ask()?;
                times.push(micros(asked.elapsed()));
            }
            Ok(Outcome { times, took: begun.elapsed() })
        };
        let outcomes: Vec<anyhow::Result<Outcome>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(asking)).collect();
            let lost = |_| Err(anyhow::anyhow!("a thread that asks has panicked"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect()
        });
        let mut all = Outcome { times: Vec::new(), took: time };
        for outcome in outcomes {
            let outcome = outcome?;
            all.times.extend(outcome.times);
            all.took = all.took.max(outcome.took);
        }
        Ok(all)
    }

    fn connect(&self) -> anyhow::Result<Line<'_>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Line { stream, request: self.request.as_bytes(), buffer: vec![0; ANSWER_BYTES_MAX] })
    }
}

/// A connection that is kept.
struct Line<'a> {
    stream: TcpStream,
    request: &'a [u8],
    buffer: Vec<u8>,
}

impl Line<'_> {
    fn ask(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(self.request)?;
        let (mut filled, mut needed) = (0, None);
        while needed.is_none_or(|needed| filled < needed) {
            ensure!(filled < self.buffer.len(), "the answer is too long");
            let read = self.stream.read(&mut self.buffer[filled..])?;
            ensure!(read > 0, "the connection was closed");
            filled += read;
            if needed.is_none() {
                needed = length(&self.buffer[..filled])?;
            }
        }
        Ok(())
    }
}

/// How long the answer is that begins so, if that can be seen yet.
fn length(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "not the answer that was expected: {head}");
    let named = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    };
    let body = head.lines().find_map(named).context("an answer without a length")?;
    Ok(Some(end + 4 + body))
}
