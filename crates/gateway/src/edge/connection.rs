//! One connection of a visitor: which version of HTTP it speaks.

use std::{io, rc::Rc, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;

use super::{
    client::{Client, HEAD_TIME_MAX},
    ending::Ending,
    http1, http2,
};
use crate::phases::worker::Worker;

/// How a connection begins on which HTTP/2 is spoken (RFC 9113, 3.4). No request begins like this.
const HTTP2: &[u8] = b"PRI ";
/// How long the rest of that may take to come once some of it has.
const REST_PERIOD: Duration = Duration::from_millis(20);

/// How long it may take to agree on TLS.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// A connection that was taken.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) client: Client,
    /// What speaks TLS with them.
    pub(super) tls: Option<TlsAcceptor>,
}

/// Answers what comes on a connection until it ends.
pub(super) async fn serve(worker: Rc<Worker>, accepted: Accepted, mut ending: Ending) {
    let Accepted { stream, client, tls } = accepted;
    // Small answers must not wait for the other side's acknowledgement.
    let _ = stream.set_nodelay(true);
    if let Some(tls) = tls {
        return Box::pin(serve_tls(worker, (stream, tls), client, ending)).await;
    }
    let speaks_http2 = tokio::select! {
        begun = timeout(HEAD_TIME_MAX, speaks_http2(&stream)) => begun,
        () = ending.told() => return,
    };
    match speaks_http2 {
        Ok(Ok(true)) => http2::serve(worker, stream, client, ending).await,
        Ok(Ok(false)) => http1::serve(worker, stream, client, ending).await,
        Ok(Err(_)) | Err(_) => {}
    }
}

async fn serve_tls(
    worker: Rc<Worker>,
    (stream, tls): (TcpStream, TlsAcceptor),
    client: Client,
    mut ending: Ending,
) {
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_TIME_MAX, tls.accept(stream)) => shaken,
        () = ending.told() => return,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(cause)) => {
            tracing::debug!(peer = %client.peer, %cause, "TLS could not be agreed on");
            return;
        }
        Err(_) => return,
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2::serve(worker, stream, client, ending).await;
    } else {
        http1::serve(worker, stream, client, ending).await;
    }
}

/// Whether HTTP/2 is spoken from the beginning; known once the visitor has said something.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut begin = [0; HTTP2.len()];
    loop {
        let come = stream.peek(&mut begin).await?;
        if come == HTTP2.len() || come == 0 || !HTTP2.starts_with(&begin[..come]) {
            return Ok(begin == HTTP2);
        }
        tokio::time::sleep(REST_PERIOD).await;
    }
}
