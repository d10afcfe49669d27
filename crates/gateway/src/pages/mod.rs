//! What people see of the gateway itself: one layout, nothing from elsewhere, no scripts.

mod job;
mod setup;
mod style;

use api::{Problem, configurator::Route};
use http::{HeaderValue, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{answer::Body, front::Front};
pub(crate) use job::job;
pub(crate) use setup::{SetupForm, progress, setup_form};

/// How often a page that waits looks again, in seconds.
const REFRESH_SECONDS: u32 = 2;

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

fn layout(title: &str, refresh: bool, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if refresh { meta http-equiv="refresh" content=(REFRESH_SECONDS); }
                title { (title) }
                style { (PreEscaped(style::SHEET)) }
            }
            body {
                header.banner { div { (mark()) "Mandate" } }
                main { (content) }
            }
        }
    }
}

/// The console's mark, in the page itself since nothing is loaded.
fn mark() -> Markup {
    html! {
        svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true" {
            rect width="32" height="32" rx="8" fill="#1f6f5c" {}
            path d="M8 22.5V10.2c0-.6.8-.9 1.2-.4L16 17.6l6.8-7.8c.4-.5 1.2-.2 1.2.4v12.3" fill="none"
                stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" {}
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
        p.status { (problem.status) }
        h1 { (problem.title) }
        p.lead { (sentence(&problem.detail)) }
        @match problem.code.as_str() {
            "unknown_host" | "suspended" | "setup_needed" | "module_off" => {
                p.way { a.button.quiet href=(front.console_url()) { "Go to the console" } }
            }
            "sign_in" => p.way { a.button href="/.mandate/sign-in" { "Sign in" } },
            _ => {}
        }
        @if let Some(request) = &problem.request {
            footer { "Request " code { (request) } }
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
        h1 { "Sign out?" }
        p.lead { "You leave " strong { (route.host) } ". At the console you stay signed in." }
        form method="post" action="/.mandate/sign-out" { button type="submit" { "Sign out" } }
        p.way { a href="/" { "Stay" } }
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
