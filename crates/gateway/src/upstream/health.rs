//! Asks one endpoint whether it is well, as its node asks it too.

use http::{HeaderValue, Request, header, uri};
use tokio::net::TcpStream;
use types::Site;

use super::{connections::Connections, endpoint::Endpoint};
use crate::request::body::Lent;

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
    pub(crate) async fn ask(
        self,
        connections: &Connections,
        site: Site,
        endpoint: &Endpoint,
    ) -> Result<(), String> {
        let Self::Request { path, host } = self else {
            let connected = TcpStream::connect(endpoint.authority.as_str()).await;
            return connected.map(drop).map_err(|cause| cause.to_string());
        };
        let request = request(site, endpoint, path, &host).map_err(|cause| cause.to_string())?;
        let answer = connections.ask(request).await.map_err(|cause| cause.to_string())?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("the answer is {}", answer.status()))
        }
    }
}

fn request(
    site: Site,
    endpoint: &Endpoint,
    path: String,
    host: &str,
) -> Result<Request<Lent>, http::Error> {
    let uri = uri::Builder::new().scheme("http").authority(endpoint.authority.clone());
    let host = HeaderValue::from_str(host)?;
    Request::get(uri.path_and_query(path).build()?)
        .header("x-forwarded-proto", site.scheme())
        .header("x-forwarded-host", host.clone())
        .header(header::HOST, host)
        .body(Lent::nothing())
}
