//! What went wrong, in the shape of RFC 9457.

use std::fmt;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::RequestId;

/// The eight kinds of failure. A caller branches on the kind or the code, never on a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 400: the request cannot be meant.
    Invalid,
    /// 401: say who you are.
    Unauthenticated,
    /// 403: you may not.
    Denied,
    /// 404: it is not there, or not yours to know of.
    NotFound,
    /// 409: it does not fit what is there.
    Conflict,
    /// 429: too much, too often.
    Exhausted,
    /// 503: not now.
    Unavailable,
    /// 500: our fault.
    Internal,
}

impl Kind {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Exhausted => 429,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid request",
            Self::Unauthenticated => "Not signed in",
            Self::Denied => "Not permitted",
            Self::NotFound => "Not found",
            Self::Conflict => "Conflict",
            Self::Exhausted => "Too many requests",
            Self::Unavailable => "Unavailable",
            Self::Internal => "Internal error",
        }
    }
}

/// A failure as it travels: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Where the code is explained: `/problems/CODE` at the platform's own hosts. `about:blank` from
    /// whoever gives none.
    #[serde(rename = "type", default = "blank")]
    pub reference: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Which of the eight kinds.
    pub kind: Kind,
    /// A stable name of what went wrong, `host_already_taken`.
    pub code: String,
    /// A sentence for people that says what to do.
    pub detail: String,
    /// The request it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// After how many seconds to try again, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

fn blank() -> String {
    "about:blank".into()
}

impl Problem {
    /// A problem of `kind`.
    pub fn new(kind: Kind, code: &str, detail: impl Into<String>) -> Self {
        Self {
            reference: format!("/problems/{code}"),
            title: kind.title().into(),
            status: kind.status(),
            kind,
            code: code.into(),
            detail: detail.into(),
            request: None,
            retry_after: None,
        }
    }

    /// 400.
    pub fn invalid(code: &str, detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, code, detail)
    }

    /// 404; `what` with its article, such as "an instance".
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, "not_found", format!("there is no such {what}"))
    }

    /// 409.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, detail)
    }

    /// 503, to be tried again in `seconds`.
    pub fn unavailable(detail: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(Kind::Unavailable, "unavailable", detail) }
    }

    /// 500; the cause is logged where this is made, not told.
    pub fn internal() -> Self {
        Self::new(Kind::Internal, "internal", "something went wrong here; the log has the request")
    }

    /// The same, answered with a status that none of the eight kinds has.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem").to_owned();
        Self { status: status.as_u16(), title, ..self }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Exhausted | Kind::Internal)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}
