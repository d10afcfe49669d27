//! The access log: a line of JSON for each request, when its answer has ended.
//!
//! It tells of a request what whoever runs the platform asks afterwards: who asked for what, what was
//! decided, which replica answered, and how long it took. Queries are left out, since they can hold
//! what only the visitor may know. Lines are collected for a moment and then written at once: whoever
//! kills the process takes that moment with them, and a full disk takes lines but no answers.

mod file;

use std::{
    cell::RefCell,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use api::{configurator::Route, manifest::Manifest};
use http::{HeaderValue, Method, Version, uri::PathAndQuery};
use serde::Serialize;
use tokio::{task::spawn_local, time::sleep};
use types::{InstanceId, Name, RequestId, Timestamp, UserId};

use crate::request::body::Flow;
pub(crate) use file::Log;

/// How long lines are collected before they are written.
const WRITE_PERIOD: Duration = Duration::from_millis(100);
/// They are written earlier if there are so many bytes of them.
const WRITE_BYTES: usize = 32 << 10;

/// What became of a request on its way, as far as it came.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) host: Option<HeaderValue>,
    pub(crate) route: Option<Arc<Route>>,
    /// The place in the manifest of the route that it matched.
    pub(crate) matched: Option<(Arc<Manifest>, usize)>,
    pub(crate) user: Option<UserId>,
    /// The replica that was asked last, and how many were.
    pub(crate) replica: Option<Arc<str>>,
    pub(crate) attempts: u8,
    pub(crate) flow: Option<Rc<Flow>>,
    /// The problem that it was answered with by us.
    pub(crate) problem: Option<String>,
}

/// A request that is answered.
pub(crate) struct Answered {
    pub(crate) id: RequestId,
    pub(crate) at: Timestamp,
    pub(crate) began: Instant,
    pub(crate) peer: IpAddr,
    pub(crate) is_https: bool,
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) target: Option<PathAndQuery>,
    pub(crate) status: u16,
    pub(crate) trace: Trace,
}

/// A line that is written when its answer has ended: when this is dropped.
pub(crate) struct Entry {
    lines: Rc<Lines>,
    answered: Answered,
    /// How long it took until the answer began.
    waited: Duration,
    bytes_out: u64,
}

/// The lines of one thread.
pub(crate) struct Lines {
    log: Option<Arc<Log>>,
    collected: RefCell<Vec<u8>>,
}

impl Lines {
    /// Lines for `log`; none are written without one.
    pub(crate) fn new(log: Option<&Arc<Log>>) -> Rc<Self> {
        Rc::new(Self { log: log.cloned(), collected: RefCell::default() })
    }

    /// An answer that begins now, if there is a log.
    pub(crate) fn begin(self: &Rc<Self>, answered: Answered) -> Option<Entry> {
        self.log.as_ref()?;
        let waited = answered.began.elapsed();
        Some(Entry { lines: Rc::clone(self), answered, waited, bytes_out: 0 })
    }

    fn add(self: &Rc<Self>, line: &Line<'_>) {
        let mut collected = self.collected.borrow_mut();
        let is_first = collected.is_empty();
        if serde_json::to_writer(&mut *collected, line).is_err() {
            return;
        }
        collected.push(b'\n');
        if collected.len() >= WRITE_BYTES {
            drop(collected);
            self.write();
        } else if is_first {
            let this = Rc::clone(self);
            spawn_local(async move {
                sleep(WRITE_PERIOD).await;
                this.write();
            });
        }
    }

    fn write(&self) {
        let collected = std::mem::take(&mut *self.collected.borrow_mut());
        if let Some(log) = self.log.as_ref().filter(|_| !collected.is_empty()) {
            log.write(&collected);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.write();
    }
}

impl Entry {
    /// So many bytes more of the answer's body are released.
    pub(crate) fn passed(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Self { lines, answered, waited, bytes_out } = self;
        let trace = &answered.trace;
        let route = trace.route.as_deref();
        let matched = trace.matched.as_ref();
        lines.add(&Line {
            time: answered.at,
            request: answered.id,
            peer: answered.peer,
            protocol: protocol(answered.version),
            https: answered.is_https,
            method: answered.method.as_str(),
            host: trace.host.as_ref().and_then(|host| host.to_str().ok()),
            path: answered.target.as_ref().map(PathAndQuery::path),
            status: answered.status,
            problem: trace.problem.as_deref(),
            bytes_in: trace.flow.as_ref().map_or(0, |flow| flow.bytes()),
            bytes_out: *bytes_out,
            duration_ms: millis(answered.began.elapsed()),
            waited_ms: millis(*waited),
            service: route.map(|route| &route.service),
            instance: route.map(|route| route.instance),
            route: matched.map(|(manifest, place)| manifest.routes[*place].pattern.to_string()),
            user: trace.user,
            replica: trace.replica.as_deref(),
            attempts: trace.attempts,
        });
    }
}

/// How a line is written.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    request: RequestId,
    peer: IpAddr,
    protocol: &'static str,
    https: bool,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
    bytes_in: u64,
    bytes_out: u64,
    duration_ms: f64,
    waited_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<&'a str>,
    attempts: u8,
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// Milliseconds with three digits behind the point.
fn millis(time: Duration) -> f64 {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1_000.0
}
