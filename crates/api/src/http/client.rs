//! The client that follows from the operations: one function, over any transport.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};

use super::{Kind, Operation, Problem, encode};

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
            let detail = format!("{component} answered {}", response.status());
            Problem::new(Kind::Unavailable, "unexpected_answer", detail)
        }))
    }
}

/// The transport over HTTP to one base address, where all components stand below their names.
pub struct Remote {
    base: String,
    client: legacy::Client<legacy::connect::HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

impl Remote {
    /// No answer is read past this many bytes; packages are the largest.
    pub const REPLY_BYTES_MAX: usize = 512 << 20;

    /// A transport to `base`, such as `http://127.0.0.1:8080`; each request may take 60 s.
    pub fn new(base: &str) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            // Whoever answers closes what is idle later than this.
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_timer(TokioTimer::new())
            .build_http();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            client,
            timeout: Duration::from_mins(1),
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        parts.uri =
            format!("{}{path}", self.base).parse().map_err(|_| "its address is not a URL")?;
        let response = self
            .client
            .request(Request::from_parts(parts, Full::new(body)))
            .await
            .map_err(|cause| chain(&cause))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, Self::REPLY_BYTES_MAX).collect().await;
        let body = body.map_err(|cause| cause.to_string())?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

impl Transport for Remote {
    fn send(&self, request: Request<Bytes>) -> Sending<'_> {
        Box::pin(async move {
            let outcome = tokio::time::timeout(self.timeout, self.exchange(request)).await;
            let outcome =
                outcome.unwrap_or_else(|_| Err(format!("nothing within {:?}", self.timeout)));
            outcome.map_err(|why| TransportError { to: self.base.clone(), why })
        })
    }
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
