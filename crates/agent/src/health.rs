//! Asks a replica whether it is well.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Asks `GET path` at `address`. Only a 2xx within `patience` is well; otherwise the answer is a
/// few words on what happened. The answer's body is not read.
pub(crate) async fn ask(address: SocketAddr, path: &str, patience: Duration) -> Result<(), String> {
    match tokio::time::timeout(patience, exchange(address, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("nothing within {patience:?}")),
    }
}

async fn exchange(address: SocketAddr, path: &str) -> Result<(), String> {
    let in_words = |cause: &dyn std::error::Error| cause.to_string();
    let stream = TcpStream::connect(address).await.map_err(|cause| in_words(&cause))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|cause| in_words(&cause))?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
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
