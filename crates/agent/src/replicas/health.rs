//! Asks a replica whether it is well.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What a replica is asked.
pub(crate) struct Question {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    /// As whose visitor: an application may refuse a host that is not its own, or send whoever does
    /// not come by HTTPS there.
    pub(crate) site: Uri,
}

impl Question {
    /// Asks. Only a 2xx within `patience` is well; otherwise the answer is a few words on what
    /// happened. The answer's body is not read.
    pub(crate) async fn ask(&self, patience: Duration) -> Result<(), String> {
        match tokio::time::timeout(patience, exchange(self)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("nothing within {patience:?}")),
        }
    }
}

async fn exchange(question: &Question) -> Result<(), String> {
    let Question { address, path, site } = question;
    let in_words = |cause: &dyn std::error::Error| cause.to_string();
    let stream = TcpStream::connect(*address).await.map_err(|cause| in_words(&cause))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|cause| in_words(&cause))?;
    let host = site.authority().map_or("localhost", http::uri::Authority::as_str);
    let request = Request::get(path.as_str())
        .header(header::HOST, host)
        .header("x-forwarded-host", host)
        .header("x-forwarded-proto", site.scheme_str().unwrap_or("http"))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|cause| in_words(&cause))?;
    let answer = tokio::select! {
        // The connection ends with an error or, politely, right after the answer.
        biased;
        answer = sender.send_request(request) => answer.map_err(|cause| in_words(&cause))?,
        Err(cause) = connection => return Err(in_words(&cause)),
    };
    if answer.status().is_success() {
        return Ok(());
    }
    Err(format!("the answer is {}", answer.status()))
}
