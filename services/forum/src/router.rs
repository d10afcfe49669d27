//! The way in: which page answers, and the rules that hold for every request.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tenancy::{Clock, Tenants};

use crate::{
    badges,
    error::Error,
    members, polls, search, topics, users,
    visit::{App, Visit},
};

/// The longest request body that is read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long requests under way may take to end once the process is asked to.
const FAREWELL: Duration = Duration::from_secs(20);

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
