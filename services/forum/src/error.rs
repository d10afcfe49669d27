//! What can go wrong, and what a visitor sees of it.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::layout;

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Error {
    /// No forum answers to the host.
    UnknownHost,
    /// There is no such page, topic, post, poll or member.
    NotFound,
    /// What was sent cannot be used; the text tells people why.
    Invalid(String),
    /// The name is somebody's already.
    Taken(String),
    /// Only members may do this.
    SignIn,
    /// The request was made by another site's page.
    Foreign,
    /// More was sent than is read.
    TooLarge,
    /// The database is not there yet, or not reachable now.
    NotReady,
    /// Anything else, which is in the log.
    Internal,
}

impl Error {
    /// Logs what is nobody's business outside.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::Internal
    }

    fn told(&self) -> (StatusCode, &'static str, &str) {
        match self {
            Self::UnknownHost => (
                StatusCode::NOT_FOUND,
                "No forum here",
                "There is no forum at this address. Please check how it is spelled.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Page not found",
                "What you are looking for is not here, or not any more.",
            ),
            Self::Invalid(why) => (StatusCode::UNPROCESSABLE_ENTITY, "That did not work", why),
            Self::Taken(why) => (StatusCode::CONFLICT, "That name is taken", why),
            Self::SignIn => (
                StatusCode::UNAUTHORIZED,
                "Please sign in",
                "Only members can do this. Sign in or join, it takes a minute.",
            ),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "Not from here",
                "This was sent by a page of another site, so it was not done.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "That is too much",
                "Please send less at once: 64 KiB fit.",
            ),
            Self::NotReady => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Back in a moment",
                "This forum is being set up or cared for. Please try again shortly.",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong",
                "It is not your fault, and it has been noted. Please try again.",
            ),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.as_deref() == Some("22021") {
            // A letter that no text has: whatever was asked for by it is not there.
            return Self::NotFound;
        }
        let absent = match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed => true,
            // A table, or the database itself, is not there yet; or it takes no connection now.
            sqlx::Error::Database(cause) => {
                matches!(code.as_deref(), Some("42P01" | "3D000" | "57P03" | "53300" | "14"))
                    || cause.message().starts_with("no such table")
            }
            _ => false,
        };
        if absent {
            tracing::warn!(error = &error as &dyn std::error::Error, "a database is not ready");
            Self::NotReady
        } else {
            Self::internal(&error)
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, title, text) = self.told();
        let page = layout::plain(title, text, matches!(self, Self::SignIn));
        let mut response = (status, page).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        response
    }
}

/// The same, told to a program.
pub(crate) struct Problem(pub(crate) Error);

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title, text) = self.0.told();
        let body = json!({ "title": title, "status": status.as_u16(), "detail": text });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(body).into_response().into_body()).into_response()
    }
}
