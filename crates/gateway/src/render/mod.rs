//! What the gateway itself answers: pages of one layout with nothing from elsewhere, and problems.

mod job;
mod problem;
mod setup;
mod style;

use api::configurator::Route;
use http::{HeaderValue, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(crate) use job::job;
pub(crate) use problem::{Reader, broken, refusal, waiting};
pub(crate) use setup::{SetupForm, progress, setup_form};

/// How often a page that waits looks again, in seconds; `follow.js` says the same.
const REFRESH_SECONDS: u32 = 2;
/// In the page itself, since nothing is loaded.
const MARK: &str = include_str!("../../../../assets/mark.svg");

/// The body of an answer.
pub(crate) type Body = axum::body::Body;

/// A page as an answer that nobody keeps, frames or adds to.
pub(crate) fn respond(status: StatusCode, page: Markup) -> Response<Body> {
    let mut response = Response::new(Body::from(page.into_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The set-up key stands in an address. Not `no-referrer`: with that a browser would send
        // our forms with the origin `null`.
        (header::REFERRER_POLICY, "strict-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, style::POLICY.clone());
    response
}

/// Leads a browser to another address, with a GET.
pub(crate) fn see(address: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    let location = HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("/"));
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

/// A page; one on which something `waits` looks again by itself.
fn layout(title: &str, waits: bool, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if waits {
                    noscript { meta http-equiv="refresh" content=(REFRESH_SECONDS); }
                }
                title { (title) }
                style { (PreEscaped(style::SHEET)) }
            }
            body {
                header.banner {
                    div.inner { span.brand { (PreEscaped(MARK)) "Mandate" } }
                }
                main data-waits[waits] { (content) }
                @if waits { script { (PreEscaped(style::SCRIPT)) } }
            }
        }
    }
}

/// Problems are written to stand in the middle of a line; a page begins with a capital.
fn sentence(detail: &str) -> Markup {
    let mut parts = detail.trim_end_matches('.').split('`');
    let mut first: String = parts.next().unwrap_or_default().to_owned();
    if let Some(letter) = first.get_mut(..1) {
        letter.make_ascii_uppercase();
    }
    html! {
        (first)
        @for (place, part) in parts.enumerate() {
            @if place % 2 == 0 { code { (part) } } @else { (part) }
        }
        "."
    }
}

/// The page to sign out at.
pub(crate) fn sign_out(route: &Route) -> Markup {
    let content = html! {
        section.narrow {
            h1 { "Sign out?" }
            div.card {
                p { "You leave " strong { (route.host) } ". At the console you stay signed in." }
                form method="post" action="/.mandate/sign-out" { button { "Sign out" } }
            }
            p.centred { a href="/" { "Stay" } }
        }
    };
    layout("Sign out", false, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_text() {
        let page = sentence("closed: <script>alert(1)</script> for `<b>` & more").into_string();
        assert_eq!(
            page,
            "Closed: &lt;script&gt;alert(1)&lt;/script&gt; for <code>&lt;b&gt;</code> &amp; more."
        );
    }
}
