//! Asks one endpoint whether it is well, as its node asks it too.

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use types::Site;

use super::{connector::Connector, endpoint::Endpoint};

/// What is asked.
pub(crate) enum Probe {
    /// A path, at a host.
    Request {
        /// The path.
        path: String,
        /// The host that the application is to be asked for.
        host: String,
    },
    /// To take a connection.
    Connection,
}

impl Probe {
    /// Asks `endpoint`; it is well if it answers with a success. Else says what was wrong.
    pub(crate) async fn ask(self, site: Site, endpoint: &Endpoint) -> Result<(), String> {
        let connected = Connector::new().connect(&endpoint.uri).await;
        let stream = connected.map_err(|cause| cause.to_string())?;
        let Self::Request { path, host } = self else { return Ok(()) };
        let request = request(site, &path, &host).map_err(|cause| cause.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|cause| cause.to_string())?;
        let mut answer = std::pin::pin!(sender.send_request(request));
        let answer = tokio::select! {
            answer = &mut answer => answer,
            // It may have ended with an answer.
            _ = connection => answer.await,
        };
        let answer = answer.map_err(|cause| cause.to_string())?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("the answer is {}", answer.status()))
        }
    }
}

fn request(site: Site, path: &str, host: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
    let host = HeaderValue::from_str(host)?;
    Request::get(path)
        .header("x-forwarded-proto", site.scheme())
        .header("x-forwarded-host", host.clone())
        .header(header::HOST, host)
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
}
