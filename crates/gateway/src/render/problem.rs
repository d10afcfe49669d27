//! Problems, as whoever asks can read them: a page for people, a document for programs.

use api::Problem;
use http::{HeaderValue, Response, StatusCode, header};
use maud::{Markup, html};
use types::RequestId;

use super::{Body, layout, respond, sentence};

/// Who reads an answer.
pub(crate) struct Reader<'a> {
    /// Which request it answers.
    pub(crate) request: RequestId,
    /// Whether a person looks at it.
    pub(crate) wants_page: bool,
    /// Where the console is.
    pub(crate) console: &'a str,
}

/// A problem as an answer.
pub(crate) fn refusal(reader: &Reader<'_>, problem: Problem) -> Response<Body> {
    // What it leads to is at the console, wherever this was asked.
    let reference = format!("{}{}", reader.console, problem.reference.trim_start_matches('/'));
    let problem = Problem { request: Some(reader.request), reference, ..problem };
    tracing::debug!(request = %reader.request, %problem, "refused");
    let mut response = if reader.wants_page {
        let page = layout(&problem.title, false, &body(reader.console, &problem));
        respond(StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST), page)
    } else {
        chassis::problem_response(problem.clone())
    };
    say_when_again(&mut response, &problem);
    if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

/// A problem that passes, as a page that looks again by itself.
pub(crate) fn waiting(reader: &Reader<'_>, problem: &Problem) -> Response<Body> {
    let problem = Problem { request: Some(reader.request), ..problem.clone() };
    let page = layout(&problem.title, true, &body(reader.console, &problem));
    let mut response = respond(StatusCode::SERVICE_UNAVAILABLE, page);
    say_when_again(&mut response, &problem);
    response
}

/// What is left to say where answering itself broke.
pub(crate) fn broken() -> Response<Body> {
    chassis::problem_response(Problem::internal())
}

fn say_when_again(response: &mut Response<Body>, problem: &Problem) {
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
}

fn body(console: &str, problem: &Problem) -> Markup {
    html! {
        section.empty {
            p.numeral { (problem.status) }
            h1 { (problem.title) }
            p { (sentence(&problem.detail)) }
            @match problem.code.as_str() {
                "unknown_host" | "suspended" | "setup_needed" | "module_off" => {
                    p { a.button.quiet href=(console) { "Go to the console" } }
                }
                "denied" => {
                    p { "Ask an owner of the account to grant it to you." }
                    p {
                        a.button.quiet href={ (console) "mine" } {
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
