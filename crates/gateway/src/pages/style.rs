//! The style sheet, and the policy that allows it and nothing else.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use types::Digest;

/// The console's colours and shapes, as far as these pages need them.
pub(super) const SHEET: &str = "\
:root{color-scheme:light dark;--ground:#f7f5f1;--card:#fffefb;--sunk:#f1eee8;--ink:#21201c;\
--soft:#6c6960;--line:#e4dfd6;--accent:#1f6f5c;--accent-strong:#17584a;--on-accent:#fff;\
--accent-ground:#e6f0ec;--bad:#a8321f;--shadow:0 1px 2px rgb(60 50 30/5%),0 4px 16px rgb(60 50 30/4%)}\
@media(prefers-color-scheme:dark){:root{--ground:#161815;--card:#1e211d;--sunk:#181a17;\
--ink:#e9e6de;--soft:#a09d92;--line:#32362f;--accent:#7cc5ae;--accent-strong:#98d6c3;\
--on-accent:#10201b;--accent-ground:#20322c;--bad:#ef9682;--shadow:none}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:flex;flex-direction:column;color:var(--ink);\
background:var(--ground);font:16px/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\
\"Helvetica Neue\",\"Noto Sans\",sans-serif}\
.banner{background:var(--card);border-bottom:1px solid var(--line)}\
.banner div{max-width:68rem;margin:0 auto;padding:.85rem 1.5rem;display:flex;align-items:center;\
gap:.55rem;font-weight:650;letter-spacing:-.01em}\
main{flex:1;width:100%;max-width:31rem;margin:0 auto;padding:3.75rem 1.5rem 3rem}\
h1{font-size:1.75rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .75rem;text-align:center;\
overflow-wrap:anywhere}\
.lead{margin:0 0 1.5rem;color:var(--soft);text-align:center;overflow-wrap:anywhere}\
.status{font-size:4rem;line-height:1;font-weight:250;color:var(--soft);\
letter-spacing:-.02em;margin:0 0 .75rem;text-align:center}\
.way{text-align:center;margin:1.25rem 0 0}\
a{color:var(--accent);text-underline-offset:.2em}\
code{font:.875em ui-monospace,\"SF Mono\",Menlo,Consolas,monospace;overflow-wrap:anywhere}\
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}\
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;\
padding:1.4rem 1.5rem;box-shadow:var(--shadow)}\
label{display:block;margin:0 0 .3rem;font-weight:600;font-size:.9rem}\
input,select{width:100%;padding:.5rem .75rem;margin:0 0 1.1rem;font:inherit;color:inherit;\
background:var(--ground);border:1px solid var(--line);border-radius:9px}\
.help,.wrong{margin:-.8rem 0 1.1rem;font-size:.8125rem;color:var(--soft)}\
.wrong{color:var(--bad)}h1+.wrong{margin:0 0 1.25rem;font-size:1rem;text-align:center}\
[aria-invalid=true]{border-color:var(--bad)}\
button,.button{display:inline-block;padding:.5rem 1.15rem;line-height:1.45;font:inherit;\
font-weight:550;border:1px solid var(--accent);border-radius:9px;color:var(--on-accent);\
background:var(--accent);cursor:pointer;text-decoration:none}\
button{width:100%;margin-top:.25rem}\
button:hover,.button:hover{background:var(--accent-strong)}\
.quiet{background:none;color:var(--accent);border-color:var(--line)}\
.quiet:hover{background:var(--accent-ground)}\
ol{list-style:none;margin:0;padding:0}li{padding:.7rem 0}li+li{border-top:1px solid var(--line)}\
li b{float:right;font-weight:550;color:var(--soft)}li.succeeded b{color:var(--accent)}\
li.failed b{color:var(--bad)}\
pre{margin:.5rem 0 0;padding:.85rem 1rem;max-height:14rem;overflow:auto;font:.8125rem/1.5 \
ui-monospace,Menlo,Consolas,monospace;background:var(--sunk);border-radius:8px;\
white-space:pre-wrap;overflow-wrap:anywhere}\
ol+form,.card+.card{margin-top:1.25rem}\
footer{padding:1.5rem;text-align:center;font-size:.8125rem;color:var(--soft)}";

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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a custom property is set to, by day and by night.
    fn values<'s>(sheet: &'s str, name: &str) -> Vec<&'s str> {
        let after = sheet.split(name).skip(1).filter_map(|rest| rest.strip_prefix(':'));
        after.map(|rest| rest.split([';', '}']).next().unwrap_or_default().trim()).collect()
    }

    #[test]
    fn the_colours_are_the_consoles() {
        let console = include_str!("../../../console/assets/style.css");
        for name in [
            "--ground",
            "--card",
            "--sunk",
            "--ink",
            "--soft",
            "--line",
            "--accent",
            "--accent-strong",
            "--on-accent",
            "--accent-ground",
            "--bad",
        ] {
            let own = values(SHEET, name);
            assert_eq!((own.len(), own), (2, values(console, name)), "{name}");
        }
    }
}
