//! Whoever looks at a page. Handlers take one as an argument; the frame has found out who it is.

use api::{Client, Kind, Problem, identity::User};
use axum::{extract::FromRequestParts, http::request::Parts};
use types::{AccountId, SessionId, Timestamp};

use crate::answer::Failure;

/// Whoever looks at a page.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Asks the platform with this person's rights, or as nobody.
    pub(crate) client: Client,
    /// What the forms on this person's pages carry.
    pub(crate) form_token: String,
    /// What forms may carry that were made when another cookie stood first.
    pub(crate) form_tokens: Vec<String>,
    /// Who it is, if they are signed in.
    pub(crate) user: Option<User>,
    /// Whether they were signed in, and the session has ended.
    pub(crate) is_expired: bool,
    pub(crate) session: Option<SessionId>,
    /// When the page is asked for.
    pub(crate) now: Timestamp,
}

impl Visitor {
    /// The person, if they are signed in.
    pub(crate) fn person(&self) -> Option<Person> {
        let Self { client, form_token, session, now, .. } = self.clone();
        Some(Person { client, form_token, user: self.user.clone()?, session, now })
    }
}

/// Somebody who is signed in. A page that takes one leads everybody else to the sign-in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) form_token: String,
    pub(crate) user: User,
    pub(crate) session: Option<SessionId>,
    /// When the page is asked for.
    pub(crate) now: Timestamp,
}

impl Person {
    /// Whether this person belongs to no customer.
    pub(crate) fn is_operator(&self) -> bool {
        self.user.account.is_none()
    }

    /// The customer whom the person belongs to; whoever belongs to none can order nothing.
    pub(crate) fn account(&self) -> Result<AccountId, Problem> {
        let detail = "you run the platform and belong to no account; open an account to order";
        self.user.account.ok_or_else(|| Problem::new(Kind::Denied, "no_account", detail))
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal().into())
    }
}

impl<S: Sync> FromRequestParts<S> for Person {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let detail = "this page is for people who are signed in";
        let refused = || Problem::new(Kind::Unauthenticated, "sign_in", detail).into();
        visitor.person().ok_or_else(refused)
    }
}
