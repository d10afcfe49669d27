//! The smallest application: every request gets the same page.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// How long its page is.
const BYTES: usize = 1_024;

/// Begins to answer, on the runtime that it is called on; answers where.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));
    Ok(address)
}

async fn serve(listener: TcpListener) {
    let page = Bytes::from(vec![b'x'; BYTES]);
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let page = page.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let page = page.clone();
            async move {
                let mut response = Response::new(Full::new(page));
                let html = header::HeaderValue::from_static("text/html; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, html);
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
