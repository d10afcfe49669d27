//! The way in: from a request to the forum that it is for, and who is visiting.

use std::{sync::Arc, time::Duration};

use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::de::DeserializeOwned;
use tenancy::{Clock, Host, Tenant, Tenants, Timestamp};

use crate::{
    badges,
    error::Error,
    members, polls, search, secrets,
    store::{self, Db, Pools, members::Member},
    topics, users,
};

/// The longest request body that is read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long requests under way may take to end once the process is asked to.
const FAREWELL: Duration = Duration::from_secs(20);

/// The cookie that names a member's session.
pub(crate) const SESSION: &str = "forum_session";

/// What all requests share.
#[derive(Clone)]
pub(crate) struct App {
    tenants: Tenants,
    pools: Arc<Pools>,
    clock: Arc<dyn Clock>,
}

/// Serves all forums until the process is asked to end.
pub(crate) async fn serve(
    tenants: Tenants,
    clock: Arc<dyn Clock>,
    host: &str,
    port: u16,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind((host, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = router(App { tenants, pools: Arc::default(), clock });
    let (ending, ended) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        asked_to_end().await;
        ending.send_replace(true);
    });
    let mut late = ended.clone();
    tokio::select! {
        done = server => done?,
        () = async move {
            // An error means that the server is gone, which the other arm reports.
            if late.wait_for(|ending| *ending).await.is_ok() {
                tokio::time::sleep(FAREWELL).await;
            }
        } => tracing::warn!("some requests were still under way"),
    }
    Ok(())
}

async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate =
        signal(SignalKind::terminate()).expect("a process may listen to its own signals");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn router(app: App) -> Router {
    Router::new()
        .merge(topics::routes())
        .merge(members::routes())
        .merge(users::routes())
        .merge(polls::routes())
        .merge(search::routes())
        .merge(badges::routes())
        .route("/healthz", get(async || "ok\n"))
        .route("/style.css", get(async || asset("text/css", include_str!("../assets/style.css"))))
        .route(
            "/icon.svg",
            get(async || asset("image/svg+xml", include_str!("../assets/icon.svg"))),
        )
        .fallback(async |_: Visit| Error::NotFound)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard))
        .with_state(app)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, text).into_response()
}

/// The rules that hold for every request.
async fn guard(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    // Another forum's page is a neighbour, for which a cookie's `SameSite` is no fence.
    let foreign = request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none");
    if foreign && !reads {
        return Error::Foreign.into_response();
    }
    let mut response = match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
            Error::NotFound.into_response()
        }
        Ok(response) => response,
        Err(_) => Error::NotReady.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; \
          form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
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
