//! A visitor's browser, as far as HTTP goes: one host, its cookies, its redirects.
//!
//! Whether `*.localhost` leads to this machine differs from machine to machine, so it connects to
//! 127.0.0.1 and says in `Host` where it means to be.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

/// How long one answer may take.
const ANSWER_LONGEST: Duration = Duration::from_secs(40);
/// How long an answer may be.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How often a page may lead on to another one.
const REDIRECTS_MAX: usize = 5;

/// What somebody at one host sees.
pub(crate) struct Browser {
    port: u16,
    host: String,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// What came back.
pub(crate) struct Answer {
    /// What was asked, for errors.
    asked: String,
    /// The path that it came from in the end.
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Browser {
    /// A browser without cookies.
    pub(crate) fn new(port: u16, host: &str) -> Self {
        Self { port, host: host.to_owned(), cookies: RefCell::default() }
    }

    /// The same cookies at another host, as no browser would send them.
    pub(crate) fn carried_to(&self, host: &str) -> Self {
        let cookies = self.cookies.clone();
        Self { port: self.port, host: host.to_owned(), cookies }
    }

    /// Looks at a page.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let answer = self.exchange(self.page(Method::GET, path), Bytes::new()).await?;
        self.follow(answer).await
    }

    /// Reads as a program does, which wants no pages and follows nowhere.
    pub(crate) async fn read(&self, path: &str) -> anyhow::Result<Answer> {
        let request = self.request(Method::GET, path).header(header::ACCEPT, "application/json");
        self.exchange(request, Bytes::new()).await
    }

    /// Sends a form, and looks at the page that follows.
    pub(crate) async fn send(&self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let fields =
            form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        let request = self
            .page(Method::POST, path)
            .header(header::ORIGIN, format!("http://{}:{}", self.host, self.port))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.exchange(request, body.into()).await?;
        self.follow(answer).await
    }

    /// Asks as a program does, with JSON and perhaps a token.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        token: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let mut request = self
            .request(Method::POST, path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.exchange(request, body.to_string().into()).await
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let host = format!("{}:{}", self.host, self.port);
        Request::builder().method(method).uri(path).header(header::HOST, host)
    }

    fn page(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let request = self.request(method, path).header(header::ACCEPT, "text/html");
        let cookies = self.cookies.borrow();
        let pairs: Vec<String> =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { request } else { request.header(header::COOKIE, pairs.join("; ")) }
    }

    async fn follow(&self, mut answer: Answer) -> anyhow::Result<Answer> {
        for _ in 0..REDIRECTS_MAX {
            if !matches!(answer.status, 302 | 303) {
                return Ok(answer);
            }
            let path = self.local(answer.header("location")?)?;
            answer = self.exchange(self.page(Method::GET, &path), Bytes::new()).await?;
        }
        bail!("{} leads from page to page without an end", answer.asked)
    }

    /// The path of an address at this host.
    pub(crate) fn local(&self, address: &str) -> anyhow::Result<String> {
        let here = format!("http://{}:{}", self.host, self.port);
        let path = address.strip_prefix(&here).unwrap_or(address);
        ensure!(path.starts_with('/'), "`{address}` leads away from {here}");
        Ok(path.to_owned())
    }

    async fn exchange(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let request = request.body(Full::new(body))?;
        let path = request.uri().to_string();
        let asked = format!("{} http://{}:{}{path}", request.method(), self.host, self.port);
        let answer = timeout(ANSWER_LONGEST, self.answered(request)).await;
        let answer = answer.with_context(|| format!("{asked} is not answered"))?;
        let (headers, status, text) = answer.with_context(|| format!("{asked} failed"))?;
        self.keep_cookies(&headers);
        Ok(Answer { asked, path, status, headers, text })
    }

    async fn answered(
        &self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(HeaderMap, u16, String)> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is gone.
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        Ok((head.headers, head.status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        let given =
            headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = given.filter_map(|cookie| cookie.split(';').next()?.trim().split_once('='));
        for (name, value) in pairs {
            self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Answer {
    /// The same, if it has this status.
    pub(crate) fn is(self, status: u16) -> anyhow::Result<Self> {
        let Self { asked, status: found, .. } = &self;
        ensure!(
            *found == status,
            "{asked} is answered with {found} and not {status}: {}",
            self.begins()
        );
        Ok(self)
    }

    /// The same, if these words stand in it.
    pub(crate) fn shows(self, words: &str) -> anyhow::Result<Self> {
        ensure!(
            self.text.contains(words),
            "{} does not show `{words}`: {}",
            self.asked,
            self.begins()
        );
        Ok(self)
    }

    /// The same, if these words do not stand in it.
    pub(crate) fn hides(self, words: &str) -> anyhow::Result<Self> {
        ensure!(!self.text.contains(words), "{} shows `{words}`", self.asked);
        Ok(self)
    }

    /// A header that must be there.
    pub(crate) fn header(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.with_context(|| format!("the answer to {} has no `{name}`", self.asked))
    }

    /// Its body as JSON.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.text)
            .with_context(|| format!("{} is not answered with JSON: {}", self.asked, self.begins()))
    }

    /// The hidden fields of its forms.
    pub(crate) fn hidden(&self) -> Vec<(&str, &str)> {
        let inputs = self.text.split("<input ").skip(1).filter_map(|rest| rest.split('>').next());
        let hidden = inputs.filter(|input| input.contains("type=\"hidden\""));
        hidden
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
            .collect()
    }

    fn begins(&self) -> String {
        self.text.chars().take(400).collect()
    }
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

/// As a form is sent.
fn encoded(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(encoded("Light rye & ümlaut?"), "Light+rye+%26+%C3%BCmlaut%3F");
    }

    #[test]
    fn hidden_fields_are_found() {
        let text = r#"<form><input type="text" name="a" value="1">
            <input type="hidden" name="key" value="k1"></form>"#;
        let answer = Answer {
            asked: String::new(),
            path: String::new(),
            status: 200,
            headers: HeaderMap::new(),
            text: text.to_owned(),
        };
        assert_eq!(answer.hidden(), [("key", "k1")]);
    }
}
