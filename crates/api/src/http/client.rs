//! The client that follows from the operations: one function, over any transport.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

use super::{Connections, Kind, Operation, Problem, encode};

/// A future that a transport gives back.
pub type Sending<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send + 'a>>;

/// Carries a request to whoever answers it: over the network, or into a router of this process.
pub trait Transport: Send + Sync {
    /// Sends `request`, whose path begins with the component's name.
    fn send(&self, request: Request<Bytes>) -> Sending<'_>;
}

/// Why no answer came.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{to} does not answer: {why}")]
pub struct TransportError {
    /// Whom the request was for.
    pub to: String,
    /// What happened, in words.
    pub why: String,
}

/// Proves who is asking.
pub trait Credentials: Send + Sync {
    /// The bearer token to show to the component `audience`; `None` asks as nobody.
    fn bearer(&self, audience: &str) -> Option<Arc<str>>;
}

impl Credentials for Option<Arc<str>> {
    fn bearer(&self, _: &str) -> Option<Arc<str>> {
        self.clone()
    }
}

/// Asks components to do things.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    credentials: Arc<dyn Credentials>,
    address: Option<HeaderValue>,
}

/// The header that tells from which address a request comes; the gateway writes it.
pub const FORWARDED_FOR: &str = "x-forwarded-for";

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client that asks through `transport` with `credentials`.
    pub fn new(transport: Arc<dyn Transport>, credentials: Arc<dyn Credentials>) -> Self {
        Self { transport, credentials, address: None }
    }

    /// The same way to everybody, but asking as whoever holds `token`.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        let token: Option<Arc<str>> = token.map(Into::into);
        Self { credentials: Arc::new(token), ..self.clone() }
    }

    /// The same client, for somebody at the address that the gateway has seen.
    #[must_use]
    pub fn with_address(&self, address: Option<&HeaderValue>) -> Self {
        Self { address: address.cloned(), ..self.clone() }
    }

    /// Asks for `operation`, once.
    pub async fn call<O: Operation>(&self, operation: O) -> Result<O::Reply, Problem> {
        self.ask(&operation, None).await
    }

    /// Asks for `operation` such that asking again with the same `key` does nothing twice.
    pub async fn call_once<O: Operation>(
        &self,
        operation: O,
        key: &str,
    ) -> Result<O::Reply, Problem> {
        self.ask(&operation, Some(key)).await
    }

    /// Asks for `operation` with `content` as the body instead of JSON.
    pub async fn upload<O: Operation>(&self, operation: O, content: Bytes) -> Result<(), Problem> {
        let mut request = encode(&operation)?;
        *request.body_mut() = content;
        let octets = HeaderValue::from_static("application/octet-stream");
        request.headers_mut().insert(header::CONTENT_TYPE, octets);
        self.send(O::COMPONENT, request).await.map(drop)
    }

    /// Asks for `operation`, whose answer is bytes instead of JSON.
    pub async fn download<O: Operation>(&self, operation: O) -> Result<Bytes, Problem> {
        let request = encode(&operation)?;
        Ok(self.send(O::COMPONENT, request).await?.into_body())
    }

    async fn ask<O: Operation>(
        &self,
        operation: &O,
        key: Option<&str>,
    ) -> Result<O::Reply, Problem> {
        let mut request = encode(operation)?;
        if let Some(key) = key {
            let value = HeaderValue::from_str(key).map_err(|_| {
                Problem::invalid("idempotency_key", "an idempotency key must be visible ASCII")
            })?;
            request.headers_mut().insert("idempotency-key", value);
        }
        let response = self.send(O::COMPONENT, request).await?;
        serde_json::from_slice(response.body()).map_err(|cause| {
            Problem::new(
                Kind::Internal,
                "unreadable_reply",
                format!("{} answered what cannot be read: {cause}", O::COMPONENT),
            )
        })
    }

    /// Sends a request that is not an operation, such as a package's bytes; an answer that is not
    /// a success is its problem.
    pub async fn send(
        &self,
        component: &str,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Problem> {
        if let Some(token) = self.credentials.bearer(component) {
            let value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Problem::invalid("token", "the token is not visible ASCII"))?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        if let Some(address) = &self.address {
            request.headers_mut().insert(FORWARDED_FOR, address.clone());
        }
        let response = self
            .transport
            .send(request)
            .await
            .map_err(|cause| Problem::unavailable(cause.to_string(), 1))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(serde_json::from_slice(response.body()).unwrap_or_else(|_| {
            let to = response.headers().get(header::LOCATION).and_then(|it| it.to_str().ok());
            let to = to.filter(|_| response.status().is_redirection());
            let to = to.map_or_else(String::new, |to| format!(": ask at {to} instead"));
            let detail = format!("{component} answered {}{to}", response.status());
            Problem::new(Kind::Unavailable, "unexpected_answer", detail)
        }))
    }
}

/// Whoever sends or answers more slowly than this is given up after a minute.
const BYTES_PER_SECOND_MIN: usize = 64 << 10;

/// The transport over HTTP to one base address, where all components stand below their names.
pub struct Remote {
    base: String,
    connections: Connections<Connector, Full<Bytes>>,
    timeout: Duration,
    reply_bytes_max: usize,
}

impl Remote {
    /// No answer is read past this many bytes; packages are the largest.
    pub const REPLY_BYTES_MAX: usize = 512 << 20;

    /// A transport to `base`, such as `http://127.0.0.1:8080`; an answer may take 60 s to begin and
    /// 60 s between two parts of it, and longer where much is sent. Behind `https://` there must be
    /// somebody whom an authority vouches for that this machine trusts: its own store, or what
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    pub fn new(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            connections: Connections::new(connector(base)),
            timeout: Duration::from_mins(1),
            reply_bytes_max: Self::REPLY_BYTES_MAX,
        }
    }

    /// The same, to somebody of whom no answer is read past so many bytes.
    #[must_use]
    pub fn reading_at_most(self, bytes: usize) -> Self {
        Self { reply_bytes_max: bytes, ..self }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        parts.uri =
            format!("{}{path}", self.base).parse().map_err(|_| "its address is not a URL")?;
        let patience = self.patience(body.len());
        let asking = self.connections.request(Request::from_parts(parts, Full::new(body)));
        let response = within(patience, asking).await?.map_err(|cause| chain(&cause))?;
        let (parts, body) = response.into_parts();
        let mut body = Limited::new(body, self.reply_bytes_max);
        let (begun, mut content) = (Instant::now(), BytesMut::new());
        let left = |got: usize| self.patience(got).saturating_sub(begun.elapsed());
        while let Some(frame) = within(left(content.len()).min(self.timeout), body.frame()).await? {
            let frame = frame.map_err(|cause| cause.to_string())?;
            content.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        Ok(Response::from_parts(parts, content.freeze()))
    }

    /// How long so many bytes may take: a package may be large, and the way to it slow.
    fn patience(&self, bytes: usize) -> Duration {
        self.timeout + Duration::from_secs((bytes / BYTES_PER_SECOND_MIN) as u64)
    }
}

/// What makes connections, also encrypted ones.
pub type Connector = HttpsConnector<HttpConnector>;

/// Connections to `base`. The authorities are read only if they are asked: it takes longer than a
/// command's question.
pub fn connector(base: &str) -> Connector {
    let mut trusted = rustls::RootCertStore::empty();
    if base.starts_with("https://") {
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers for both versions of the protocol")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build()
}

impl Transport for Remote {
    fn send(&self, request: Request<Bytes>) -> Sending<'_> {
        Box::pin(async move {
            let outcome = self.exchange(request).await;
            outcome.map_err(|why| TransportError { to: self.base.clone(), why })
        })
    }
}

async fn within<T>(patience: Duration, asking: impl Future<Output = T>) -> Result<T, String> {
    let late = |_| format!("nothing within {patience:?}");
    tokio::time::timeout(patience, asking).await.map_err(late)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    const STEP: Duration = Duration::from_millis(60);

    /// Answers with so many pieces of 64 KiB, one after each step, and then no more.
    async fn slow(pieces: usize, promised: usize) -> Remote {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1_024];
            let _ = stream.read(&mut head).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", promised << 16);
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..pieces {
                tokio::time::sleep(STEP).await;
                stream.write_all(&vec![7; 64 << 10]).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        Remote { timeout: STEP * 4, ..Remote::new(&base) }
    }

    /// Leads every request elsewhere.
    struct Leading;

    impl Transport for Leading {
        fn send(&self, request: Request<Bytes>) -> Sending<'_> {
            let location = format!("https://a.example{}", request.uri().path());
            let response = Response::builder().status(308).header(header::LOCATION, location);
            Box::pin(async move { Ok(response.body(Bytes::new()).unwrap()) })
        }
    }

    #[tokio::test]
    async fn who_is_led_elsewhere_is_told_where() {
        let nobody: Option<Arc<str>> = None;
        let client = Client::new(Arc::new(Leading), Arc::new(nobody));
        let ask = Request::get("/releases/v1/x").body(Bytes::new()).unwrap();
        let problem = client.send("releases", ask).await.unwrap_err();
        let expected = "releases answered 308 Permanent Redirect: ask at \
                        https://a.example/releases/v1/x instead";
        assert_eq!(problem.detail, expected);
    }

    #[tokio::test]
    async fn a_large_answer_may_take_long_as_long_as_it_comes() {
        let ask = || Request::get("/releases/v1/packages/x").body(Bytes::new()).unwrap();
        let whole = slow(10, 10).await.send(ask()).await.unwrap();
        assert_eq!(whole.body().len(), 640 << 10);
        let cut = slow(10, 11).await.send(ask()).await.unwrap_err();
        assert!(cut.why.contains("nothing within"), "{cut}");
    }
}
