//! What people see of the gateway itself: one layout, and nothing from elsewhere.

mod job;
mod setup;
mod style;

use api::{Problem, configurator::Route};
use http::{HeaderValue, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{answer::Body, front::Front};
pub(crate) use job::job;
pub(crate) use setup::{SetupForm, progress, setup_form};

/// How often a page that waits looks again, in seconds; `follow.js` says the same.
const REFRESH_SECONDS: u32 = 2;
/// In the page itself, since nothing is loaded.
const MARK: &str = include_str!("../../../../assets/mark.svg");

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

/// A problem as a page.
pub(crate) fn problem(front: &Front, problem: &Problem) -> Markup {
    layout(&problem.title, false, &problem_body(front, problem))
}

/// A problem that passes, as a page that looks again.
pub(crate) fn waiting(front: &Front, problem: &Problem) -> Markup {
    layout(&problem.title, true, &problem_body(front, problem))
}

fn problem_body(front: &Front, problem: &Problem) -> Markup {
    html! {
        section.empty {
            p.numeral { (problem.status) }
            h1 { (problem.title) }
            p { (sentence(&problem.detail)) }
            @match problem.code.as_str() {
                "unknown_host" | "suspended" | "setup_needed" | "module_off" => {
                    p { a.button.quiet href=(front.console_url()) { "Go to the console" } }
                }
                "denied" => {
                    p { "Ask an owner of the account to grant it to you." }
                    p {
                        a.button.quiet href={ (front.console_url()) "mine" } {
                            "See what you may do"
                        }
                    }
                }
                "sign_in" => p { a.button href="/.mandate/sign-in" { "Sign in" } },
                _ => {}
            }
            @if let Some(request) = &problem.request {
                p.small { "Request " code { (request) } }
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
