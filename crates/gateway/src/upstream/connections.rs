//! Connections to endpoints: kept for the next request where that is safe, else made for one.

use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::stream::{Connector, connector, was_stale};
use crate::request::body::Lent;

/// How long an endpoint may take to accept a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// A machine that takes so long to say that it has received something is gone. It is asked whether it is
/// there while an answer is waited for, at first after so long and then each second.
const SILENT_MAX: Duration = Duration::from_secs(5);
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// How long a connection to an endpoint is kept without being used. Shorter than applications do:
/// those that close soonest do so after 2 s.
const POOL_IDLE_MAX: Duration = Duration::from_millis(1_500);
const POOL_SIZE_MAX: usize = 256;
const ANSWER_HEADERS_MAX: usize = 200;
const ANSWER_BUFFER_BYTES_MAX: usize = 128 << 10;

type Client = legacy::Client<Connector, Lent>;

/// The connections to all endpoints.
pub(crate) struct Connections {
    /// Over connections that are kept open between requests.
    kept: Client,
    /// Over a connection for each request.
    fresh: Client,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self { kept: client(POOL_SIZE_MAX), fresh: client(0) }
    }

    /// Sends a request to the endpoint that its address names.
    ///
    /// The application may close a connection that was kept just when a request is sent on it. Only
    /// what can then be sent again goes there, once, over a fresh one: what changes nothing (RFC
    /// 9110, 9.2.1) and has no body, which an application that does not read it would leave on the
    /// connection, to be read as the next request, which nobody judged. A PUT or DELETE could be
    /// repeated too (9.2.2), but its second answer might tell of another's change.
    pub(crate) async fn ask(
        &self,
        request: Request<Lent>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        if !request.method().is_safe() || !request.body().is_empty() {
            return self.fresh.request(last(request)).await;
        }
        match self.kept.request(request.clone()).await {
            Err(cause) if was_stale(&cause) => self.fresh.request(last(request)).await,
            outcome => outcome,
        }
    }
}

fn client(idle_max: usize) -> Client {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_TIME_MAX));
    http.set_nodelay(true);
    // What was sent to a machine that has lost its power or its network would be waited for.
    http.set_tcp_user_timeout(Some(SILENT_MAX));
    http.set_keepalive(Some(SILENT_MAX));
    http.set_keepalive_interval(Some(ASKED_AGAIN));
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_MAX)
        .pool_max_idle_per_host(idle_max)
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .http1_max_buf_size(ANSWER_BUFFER_BYTES_MAX)
        .build(connector(http))
}

/// The last request on its connection.
fn last(mut request: Request<Lent>) -> Request<Lent> {
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    request
}
