//! Which requests go over connections that are kept open.

use std::{error::Error, time::Duration};

use http::{HeaderValue, Request, Response, header};
use hyper::body::{Body, Incoming};
use hyper_util::{
    client::legacy::{self, Client, connect::Connect},
    rt::{TokioExecutor, TokioTimer},
};

/// Whoever answers closes what is idle later than this.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The connections to another process.
///
/// It may close one that was kept just when a request is sent on it, and then nobody knows whether
/// the request was acted upon. So only what changes nothing (RFC 9110, 9.2.1) and has no body goes
/// there, and if the connection fails it is sent again, once. Everything else gets a connection of
/// its own, and is sent once.
pub struct Connections<C, B> {
    kept: Client<C, B>,
    fresh: Client<C, B>,
}

impl<C, B> Connections<C, B>
where
    C: Connect + Clone + Send + Sync + 'static,
    B: Body + Default + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Connections that `connector` makes.
    pub fn new(connector: C) -> Self {
        let client = |idle_max| {
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE_MAX)
                .pool_timer(TokioTimer::new())
                .pool_max_idle_per_host(idle_max)
                .build(connector.clone())
        };
        Self { kept: client(usize::MAX), fresh: client(0) }
    }

    /// Sends a request.
    pub async fn request(&self, request: Request<B>) -> Result<Response<Incoming>, legacy::Error> {
        if !request.method().is_safe() || !request.body().is_end_stream() {
            return self.fresh.request(last(request)).await;
        }
        let (parts, body) = request.into_parts();
        let again = parts.clone();
        match self.kept.request(Request::from_parts(parts, body)).await {
            Err(cause) if !cause.is_connect() => {
                self.fresh.request(last(Request::from_parts(again, B::default()))).await
            }
            outcome => outcome,
        }
    }
}

/// The last request on its connection.
fn last<B>(mut request: Request<B>) -> Request<B> {
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    request
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_util::client::legacy::connect::HttpConnector;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::mpsc,
    };

    use super::*;

    /// Answers the first request of each connection, and closes it when a second one has come.
    async fn answers_once(mut stream: TcpStream, seen: mpsc::UnboundedSender<String>) {
        let mut text = [0; 1_024];
        for answer in [true, false] {
            let Ok(read @ 1..) = stream.read(&mut text).await else { return };
            let line = String::from_utf8_lossy(&text[..read]).lines().next().unwrap().to_owned();
            seen.send(line).unwrap();
            if answer {
                let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(ok).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn what_changes_something_is_sent_once_and_never_over_a_connection_that_was_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (seen, mut requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answers_once(stream, seen.clone()));
            }
        });
        let connections: Connections<HttpConnector, Full<Bytes>> =
            Connections::new(HttpConnector::new());
        let ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(format!("{base}{path}"));
            connections.request(request.body(Full::default()).unwrap())
        };
        // The connection of the first question is kept, and fails at the third.
        ask("GET", "/1").await.unwrap();
        ask("POST", "/2").await.unwrap();
        ask("GET", "/3").await.unwrap();
        ask("PUT", "/4").await.unwrap();
        ask("DELETE", "/5").await.unwrap();
        drop(connections);
        let mut lines = Vec::new();
        while let Ok(line) = requests.try_recv() {
            lines.push(line.split(" HTTP").next().unwrap().to_owned());
        }
        assert_eq!(lines, ["GET /1", "POST /2", "GET /3", "GET /3", "PUT /4", "DELETE /5"]);
    }
}
