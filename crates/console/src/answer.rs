//! What a handler answers: a page, or why there is none. The frame draws either.

use api::Problem;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::Markup;

/// What a handler makes; the frame draws it.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) body: Markup,
    pub(crate) status: StatusCode,
    /// Whether something on it is under way, so that it is to be loaded anew.
    pub(crate) is_going: bool,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body, status: StatusCode::OK, is_going: false }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// A page with the status of what was refused on it, if anything was.
    pub(crate) fn refused(self, problem: Option<&Problem>) -> Self {
        match problem {
            Some(problem) => self.with_status(status_of(problem)),
            None => self,
        }
    }

    /// A page that is up to date only for a moment, if `is_going`.
    pub(crate) fn going(self, is_going: bool) -> Self {
        Self { is_going, ..self }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The platform refused, or did not answer. The frame makes a page of it, or leads to the sign-in.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    /// Where one goes on who has to sign in first; at the page itself, or the start, if absent.
    pub(crate) back: Option<String>,
}

/// A page, or a failure.
pub(crate) type Shown = Result<Page, Failure>;
/// A page, a redirection, or a failure.
pub(crate) type Answer = Result<Response, Failure>;

impl Failure {
    pub(crate) fn not_found(what: &str) -> Self {
        Problem::not_found(what).into()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, back: None }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status_of(&self.problem).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The status that a page about `problem` has.
pub(crate) fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
