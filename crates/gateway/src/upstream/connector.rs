//! Opens connections to endpoints.

use std::{error::Error, time::Duration};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

/// How long an endpoint may take to accept a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// A machine that takes so long to say that it has received something is gone. It is asked whether it is
/// there while an answer is waited for, at first after so long and then each second.
const SILENT_MAX: Duration = Duration::from_secs(5);
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// Opens connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector(HttpConnector);

impl Connector {
    pub(super) fn new() -> Self {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT_TIME_MAX));
        http.set_nodelay(true);
        // What was sent to a machine that has lost its power or its network would be waited for.
        http.set_tcp_user_timeout(Some(SILENT_MAX));
        http.set_keepalive(Some(SILENT_MAX));
        http.set_keepalive_interval(Some(ASKED_AGAIN));
        Self(http)
    }

    /// Opens a connection to where `uri` leads.
    pub(super) async fn connect(
        &self,
        uri: &Uri,
    ) -> Result<TcpStream, Box<dyn Error + Send + Sync>> {
        Ok(self.0.clone().oneshot(uri.clone()).await?.into_inner())
    }
}
