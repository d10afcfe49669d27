//! The style sheet, and the policy that allows it and nothing else.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use types::Digest;

pub(super) const SHEET: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fbfaf7;--card:#fff;--line:#e3e0d8;\
--soft:#667085;--accent:#2f5d50;--bad:#a3341f}\
@media(prefers-color-scheme:dark){:root{--ink:#e9e7e1;--paper:#15181c;--card:#1d2126;\
--line:#31363d;--soft:#9aa3ae;--accent:#8cc5b2;--bad:#f0937e}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;\
font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper)}\
main{width:100%;max-width:34rem;background:var(--card);border:1px solid var(--line);\
border-radius:14px;padding:2.2rem 2.4rem;box-shadow:0 10px 40px #0000000d}\
h1{margin:0 0 .4rem;font-size:1.6rem;line-height:1.25;letter-spacing:-.01em}\
.lead{margin:0 0 1.4rem;color:var(--soft)}.status{margin:0;color:var(--accent);font-weight:600}\
a{color:var(--accent)}code{font:.92em ui-monospace,monospace}\
label{display:block;margin:1.1rem 0 .3rem;font-weight:600}\
input,select{width:100%;padding:.6rem .7rem;font:inherit;color:inherit;background:var(--paper);\
border:1px solid var(--line);border-radius:8px}\
input:focus,select:focus{outline:2px solid var(--accent);outline-offset:1px}\
.help{margin:.3rem 0 0;font-size:.9rem;color:var(--soft)}\
.wrong{margin:.3rem 0 0;color:var(--bad);font-size:.95rem}\
[aria-invalid=true]{border-color:var(--bad)}\
button{margin-top:1.6rem;padding:.65rem 1.4rem;font:inherit;font-weight:600;border:0;\
border-radius:8px;color:var(--card);background:var(--accent);cursor:pointer}\
ol{list-style:none;margin:0;padding:0}li{padding:.7rem 0;border-top:1px solid var(--line)}\
li b{float:right;font-weight:600;color:var(--soft)}li.succeeded b{color:var(--accent)}\
li.failed b{color:var(--bad)}\
pre{margin:.6rem 0 0;padding:.7rem;max-height:14rem;overflow:auto;font:.82rem/1.45 \
ui-monospace,monospace;background:var(--paper);border-radius:8px;white-space:pre-wrap}\
footer{margin-top:1.8rem;font-size:.82rem;color:var(--soft)}";

/// Nothing is loaded, run or framed; only this very sheet is applied.
pub(super) static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = chassis::unhex::<32>(Digest::of(SHEET.as_bytes()).hex());
    let digest = STANDARD.encode(digest.expect("a digest has 64 hexadecimal digits"));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("the policy is plain text")
});
