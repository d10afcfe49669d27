//! The style sheet, the mark and the one script.

use std::sync::LazyLock;

use axum::{Router, extract::Path, http::header, response::IntoResponse, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::{Console, answer::Failure};

/// What the gateway's own pages have too, and what only these have.
const STYLE: &str =
    concat!(include_str!("../../../assets/base.css"), include_str!("../assets/style.css"));
const MARK: &str = include_str!("../../../assets/mark.svg");
/// Keeps what is under way up to date, and unfolds what is asked for. Every page works without it.
pub(crate) const SCRIPT: &str = include_str!("../assets/live.js");

/// Where the style sheet is: its name changes with its content, so it may be kept for ever.
pub(crate) static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path_of(STYLE, "css"));
/// Where the mark is.
pub(crate) static MARK_PATH: LazyLock<String> = LazyLock::new(|| path_of(MARK, "svg"));

fn path_of(content: &str, kind: &str) -> String {
    format!("/assets/{}.{kind}", Digest::of(content.as_bytes()).short())
}

/// The script as a content security policy names it.
pub(crate) fn script_source() -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(SCRIPT)))
}

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Result<impl IntoResponse, Failure> {
    let path = format!("/assets/{name}");
    let (kind, content) = match path {
        path if path == *STYLE_PATH => ("text/css; charset=utf-8", STYLE),
        path if path == *MARK_PATH => ("image/svg+xml", MARK),
        _ => return Err(Failure::not_found("asset")),
    };
    let kept = "public, max-age=31536000, immutable";
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], content))
}
