//! Requests to a host of the platform, as a browser or a program sends them.

use std::{collections::BTreeMap, sync::Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The problem document that it is, of which everybody can rely on these parts.
    #[track_caller]
    pub(crate) fn problem(&self) -> api::Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: api::Problem = serde_json::from_str(&self.body).unwrap();
        let explained = format!("/problems/{}", problem.code);
        assert!(problem.reference.ends_with(&explained), "{self:?}");
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.request.unwrap().to_string(), self.header("x-request-id"));
        assert!(!problem.code.is_empty() && !problem.detail.is_empty(), "{self:?}");
        let seconds = problem.retry_after.map(|seconds| seconds.to_string());
        assert_eq!(seconds.unwrap_or_default(), self.header("retry-after"), "{self:?}");
        problem
    }

    #[track_caller]
    pub(crate) fn shows(self, text: &str) -> Self {
        assert!(self.body.contains(text), "`{text}` is not in {self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn hides(self, text: &str) -> Self {
        assert!(!self.body.contains(text), "`{text}` is in {self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Where it leads.
    #[track_caller]
    pub(crate) fn leads_to(self) -> String {
        self.is(303).header("location").to_owned()
    }
}

/// Somebody at a host, with their cookies.
pub(crate) struct Browser {
    port: u16,
    host: String,
    cookies: Mutex<BTreeMap<String, String>>,
    token: Option<String>,
    accepts: &'static str,
}

impl Browser {
    pub(crate) fn new(port: u16, host: &str) -> Self {
        let (host, cookies) = (host.to_owned(), Mutex::default());
        Self { port, host, cookies, token: None, accepts: "text/html" }
    }

    /// A program instead: it shows a token and wants no pages.
    pub(crate) fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), accepts: JSON, ..self }
    }

    /// A program that shows no token.
    pub(crate) fn into_program(self) -> Self {
        Self { accepts: JSON, ..self }
    }

    /// The same person at another door.
    pub(crate) fn by(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The cookies that the host has set.
    pub(crate) fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().unwrap().clone()
    }

    /// Somebody who brings cookies from elsewhere.
    pub(crate) fn with_cookies(self, cookies: BTreeMap<String, String>) -> Self {
        Self { cookies: Mutex::new(cookies), ..self }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// Sends a form.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        self.send(Method::POST, path, Some((FORM, body.into()))).await
    }

    /// Sends a document.
    pub(crate) async fn post_json(&self, path: &str, document: &Value) -> Answer {
        let body = document.to_string().into();
        self.send(Method::POST, path, Some((JSON, body))).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Answer {
        let answer = self.try_send(method, path, body).await;
        answer.unwrap_or_else(|| panic!("nobody answers at {}{path}", self.host))
    }

    /// The answer, if there is one.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Option<Answer> {
        let host = format!("{}:{}", self.host, self.port);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header(header::HOST, &host)
            .header(header::ACCEPT, self.accepts);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        } else if body.is_some() {
            request = request.header(header::ORIGIN, format!("http://{host}"));
        }
        let cookies = self.cookies().into_iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        let body = body.map_or_else(Bytes::new, |(kind, body)| {
            request.headers_mut().unwrap().insert(header::CONTENT_TYPE, kind.parse().unwrap());
            body
        });
        // Each request has a connection of its own, so that none is left from before a restart.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        let response = client.request(request.body(Full::new(body)).unwrap()).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        for cookie in head.headers.get_all(header::SET_COOKIE) {
            let (pair, _) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let letter = |byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(letter).collect()
}
