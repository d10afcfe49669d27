//! An application that says what it was sent.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Collected};
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    hits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&hits);
        let app = Router::new().fallback(move |request: Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(request)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, hits, task }
    }

    /// How many requests came.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

async fn answer(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let said =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)).map(str::to_owned);
    let mut response =
        Response::builder().status(said("status=").map_or(200, |s| s.parse().unwrap()));
    if query.contains("cookie") {
        response = response
            .header("set-cookie", "mandate_session=evil")
            .header("set-cookie", "own=1; Domain=localhost");
    }
    if let Some(length) = said("stream=") {
        let parts = length.parse().unwrap();
        let parts = (0..parts).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789")));
        return response.body(Body::from_stream(stream::iter(parts))).unwrap();
    }
    let headers = head.headers.iter().map(|(name, value)| {
        serde_json::json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])
    });
    let seen = serde_json::json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers.collect::<Vec<_>>(),
        "body": String::from_utf8_lossy(&body),
    });
    response.body(Body::from(seen.to_string())).unwrap()
}
