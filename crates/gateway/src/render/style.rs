//! The style sheet and the script, and the policy that allows these and nothing else.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use types::Digest;

/// What the console's pages have too.
pub(super) const SHEET: &str = include_str!("../../../../assets/base.css");

/// Follows what is waited for. Every page works without it.
pub(super) const SCRIPT: &str = include_str!("follow.js");

/// Nothing is loaded or framed; only this very sheet is applied and only this very script is run.
pub(super) static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
        source(SHEET),
        source(SCRIPT),
    );
    HeaderValue::try_from(policy).expect("the policy is plain text")
});

/// A text of a page, as a policy names it.
fn source(text: &str) -> String {
    let digest = chassis::unhex::<32>(Digest::of(text.as_bytes()).hex());
    let digest = STANDARD.encode(digest.expect("a digest has 64 hexadecimal digits"));
    format!("'sha256-{digest}'")
}
