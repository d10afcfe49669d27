//! Which forum a request is for, and who is visiting.

use std::sync::Arc;

use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::de::DeserializeOwned;
use tenancy::{Clock, Host, Tenant, Tenants, Timestamp};

use crate::{
    error::Error,
    secrets,
    store::{self, Db, Pools, members::Member},
};

/// The cookie that names a member's session.
pub(crate) const SESSION: &str = "forum_session";

/// What all requests share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) tenants: Tenants,
    pub(crate) pools: Arc<Pools>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A request to one forum: which it is, and who is there.
pub(crate) struct Visit {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) db: Db,
    /// What the forum is called.
    pub(crate) forum: String,
    /// Who is signed in.
    pub(crate) member: Option<Member>,
    pub(crate) now: Timestamp,
}

impl Visit {
    /// The member who is signed in.
    pub(crate) fn member(&self) -> Result<&Member, Error> {
        self.member.as_ref().ok_or(Error::SignIn)
    }

    /// Pages of a module that the forum does not have are not there.
    pub(crate) fn needs(&self, module: &str) -> Result<(), Error> {
        if self.tenant.has(module) { Ok(()) } else { Err(Error::NotFound) }
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(parts.uri.host()).ok_or(Error::UnknownHost)?;
        let host = Host::from_header(host).map_err(|_| Error::UnknownHost)?;
        let tenant = app.tenants.by_host(&host).await.map_err(|error| {
            tracing::error!(%error, "a forum was not found out");
            Error::NotReady
        })?;
        let tenant = tenant.ok_or(Error::UnknownHost)?;
        let db = app.pools.of(&tenant)?;
        let now = app.clock.now();
        let member = match session(&parts.headers) {
            Some(token) => {
                store::members::by_session(&db, &secrets::hash_token(token), now).await?
            }
            None => None,
        };
        let forum = match tenant.settings.get("forum_name") {
            Some(name) => name.clone(),
            None => store::setting(&db, "forum_name").await?.unwrap_or_else(|| "Forum".into()),
        };
        Ok(Self { tenant, db, forum, member, now })
    }
}

/// The token of the session that a browser says it has.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, token)| (name == SESSION).then_some(token))
}

/// The fields of a form. What cannot be read is told on a page.
pub(crate) struct Fields<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        match Form::from_request(request, state).await {
            Ok(Form(fields)) => Ok(Self(fields)),
            Err(refused) => {
                let refused = refused.into_response();
                Err(match refused.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge,
                    _ => Error::Invalid("The form could not be read. Please send it again.".into()),
                })
            }
        }
    }
}

/// A page that follows a form which was taken.
pub(crate) fn see(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}
