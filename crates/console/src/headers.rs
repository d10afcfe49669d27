//! The headers that every answer carries.

use std::sync::LazyLock;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::assets;

/// Nothing but our style sheet, our one script (known by its digest, so that no text on a page can
/// become another) and questions and forms to this very origin.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src '{}'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        assets::script_source(),
    );
    HeaderValue::try_from(policy).expect("a policy is visible ASCII")
});

/// Said by a page whose forms lead on to another origin: a browser holds its policy against where
/// the answer to a form leads, too.
#[derive(Clone)]
pub(crate) struct FormsLeadTo(pub(crate) String);

impl FormsLeadTo {
    fn policy(&self) -> Option<HeaderValue> {
        let policy = POLICY.to_str().ok()?;
        let wider = format!("form-action 'self' {}", self.0);
        HeaderValue::try_from(policy.replace("form-action 'self'", &wider)).ok()
    }
}

/// Sets them; what an asset says of its keeping stands.
pub(crate) async fn set(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let wider = response.extensions_mut().remove::<FormsLeadTo>();
    let policy = wider.and_then(|wider| wider.policy()).unwrap_or_else(|| POLICY.clone());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    put(headers, header::X_FRAME_OPTIONS, "DENY");
    put(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Not `no-referrer`: with that a browser would send its forms with the origin `null`.
    put(headers, header::REFERRER_POLICY, "same-origin");
    put(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    put(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if !headers.contains_key(header::CACHE_CONTROL) {
        put(headers, header::CACHE_CONTROL, "no-store");
    }
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
