//! A form counts only if the page it stands on sent it, for the person it was made for.
//!
//! Instances live below the same domain as the console, so for a browser they are the same *site*:
//! a `SameSite` cookie does not keep them out. Two things do: the browser's own word that the
//! request comes from this very *origin*, and a token in the form that only a page which was made
//! for this session can carry.

use std::{sync::Arc, time::Duration};

use api::{Kind, Problem};
use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use crate::{answer::Failure, paths, visitor::Visitor};

/// A form is at most this many bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// A form arrives within this time.
const FORM_TIME_MAX: Duration = Duration::from_secs(15);
/// A form has at most this many fields.
const FIELDS_MAX: usize = 500;
/// The field that carries the session's form token.
pub(crate) const TOKEN_FIELD: &str = "form_token";
/// The field that names those of a form which its page's address can carry.
pub(crate) const KEPT_FIELD: &str = "kept";
/// The field that carries the idempotency key of what the form asks for.
const ONCE_FIELD: &str = "once";

/// What a form was sent with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Arc<Vec<(String, String)>>);

impl Fields {
    /// What an address carries; nothing if it cannot be read.
    pub(crate) fn of_query(query: &str) -> Self {
        let fields: Vec<_> = serde_html_form::from_str(query).unwrap_or_default();
        Self(Arc::new(fields.into_iter().take(FIELDS_MAX).collect()))
    }

    /// The value of a field, trimmed; empty if it was not sent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("").trim()
    }

    /// The value of a field to the letter, for passwords.
    pub(crate) fn exact(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// The values of a field that can be sent several times.
    pub(crate) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The address of the page at `path` with what was filled in there, as far as the form says
    /// that an address can carry it.
    pub(crate) fn address(&self, path: &str) -> Option<String> {
        let names = Some(self.get(KEPT_FIELD)).filter(|names| !names.is_empty())?;
        let pairs = names.split(' ').flat_map(|name| self.all(name).map(move |it| (name, it)));
        let pairs: Vec<_> = pairs.filter(|(_, value)| !value.is_empty()).collect();
        Some(paths::with_query(path, &pairs))
    }

    /// The idempotency key that the form was made with.
    pub(crate) fn once(&self) -> Result<&str, Problem> {
        let key = self.get(ONCE_FIELD);
        let ours = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        ours.then_some(key).ok_or_else(|| {
            Problem::invalid("form_incomplete", "the form was not complete; load the page again")
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal().into())
    }
}

/// A form that was refused: what was filled in, and why.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) fields: Fields,
    pub(crate) problem: Option<Problem>,
}

impl Draft {
    pub(crate) fn refused(fields: Fields, problem: Problem) -> Self {
        Self { fields, problem: Some(problem) }
    }

    /// The hidden field with which the form does nothing twice. While it is unknown whether the
    /// platform did it, the key stays; after a plain refusal what is sent next is something new.
    pub(crate) fn once(&self) -> Markup {
        let unknown = self.problem.as_ref().is_some_and(Problem::is_transient);
        let key =
            self.fields.once().ok().filter(|_| unknown).map_or_else(random_hex, str::to_owned);
        html! { input type="hidden" name=(ONCE_FIELD) value=(key); }
    }
}

/// 128 bits that nobody can guess, as 32 hexadecimal digits.
pub(crate) fn random_hex() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A form that sends `content` to `action`.
pub(crate) fn form(token: &str, action: &str, content: Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name=(TOKEN_FIELD) value=(token);
            (content)
        }
    }
}

/// Lets a form through only if it was sent by one of our pages, for this session; reads its fields.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    match checked(request).await {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

async fn checked(request: Request) -> Result<Request, Failure> {
    check_origin(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let reading = tokio::time::timeout(FORM_TIME_MAX, to_bytes(body, FORM_BYTES_MAX));
    let content = reading
        .await
        .map_err(|_| {
            Problem::invalid("form_too_slow", "the form did not arrive in time; send it again")
        })?
        .map_err(|_| {
            Problem::invalid("form_too_large", "the form is too large; 64 KiB is the most")
        })?;
    let fields: Vec<(String, String)> = serde_html_form::from_bytes(&content)
        .map_err(|_| Problem::invalid("form_unreadable", "the form cannot be read"))?;
    if fields.len() > FIELDS_MAX {
        return Err(Problem::invalid("form_too_large", "the form has too many fields").into());
    }
    let fields = Fields(Arc::new(fields));
    let visitor = parts.extensions.get::<Visitor>().ok_or_else(Problem::internal)?;
    let carried = fields.get(TOKEN_FIELD);
    let is_ours = visitor.form_tokens.iter().any(|token| is_same(carried, token));
    let back = fields.address(parts.uri.path());
    // The page was made while they were signed in; what was chosen there outlives the session.
    let has_ended = visitor.is_expired || visitor.user.is_none() && !is_ours && back.is_some();
    if has_ended {
        let problem = Problem::new(Kind::Unauthenticated, "sign_in", "the session has ended");
        return Err(Failure { problem, back });
    }
    if !is_ours {
        let detail = "the form was made for another session; reload the page and send it again";
        return Err(Problem::new(Kind::Denied, "form_outdated", detail).into());
    }
    parts.extensions.insert(fields);
    Ok(Request::from_parts(parts, Body::empty()))
}

/// Browsers say where a form comes from, in `Sec-Fetch-Site` or `Origin` or both; a form of which
/// nobody says so is refused.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let host = text(header::HOST.as_str()).unwrap_or("");
    let by_site = text("sec-fetch-site").map(|site| site == "same-origin");
    let by_origin = text(header::ORIGIN.as_str()).map(|origin| {
        let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
        !host.is_empty() && authority.eq_ignore_ascii_case(host)
    });
    match (by_site, by_origin) {
        (Some(true), None | Some(true)) | (None, Some(true)) => Ok(()),
        _ => Err(Problem::new(
            Kind::Denied,
            "foreign_origin",
            "the form was not sent from a page of this console; open the page and send it again",
        )),
    }
}

/// Compares in a time that does not depend on where two texts differ.
fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |seen, (a, b)| seen | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("host", "console.example.com:8080".parse().unwrap());
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        check_origin(&headers).is_ok()
    }

    #[test]
    fn only_this_very_origin_may_send_forms() {
        let own = ("origin", "http://console.example.com:8080");
        assert!(verdict(&[own]));
        assert!(verdict(&[("sec-fetch-site", "same-origin")]));
        assert!(verdict(&[own, ("sec-fetch-site", "same-origin")]));
        for refused in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://console.example.com")],
            &[("origin", "http://shop.example.com:8080")],
            &[("origin", "http://console.example.com:8080.evil.com")],
            &[own, ("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://evil.com")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!verdict(refused), "{refused:?}");
        }
    }
}
