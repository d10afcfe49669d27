//! What one reads where the platform refused, or did not answer.

use api::{Kind, Problem};
use maud::{Markup, html};

use crate::{
    answer::{Page, status_of},
    words,
};

/// A whole page about `problem`.
pub(crate) fn page(problem: &Problem) -> Page {
    let (title, advice) = (title(problem.kind), advice(problem));
    let body = html! {
        section.empty.problem {
            p.numeral { (problem.kind.status()) }
            h1 { (title) }
            p { (words::sentence(&problem.detail)) }
            @if let Some(advice) = advice { p.soft { (advice) } }
            @if let Some(request) = problem.request {
                p.soft.small { "Request " code { (request) } }
            }
            @if problem.kind == Kind::Denied {
                p { a.button.quiet href="/mine" { "See what you may do" } }
            } @else {
                p { a.button.quiet href="/" { "To the start" } }
            }
        }
    };
    Page::new(title, body).with_status(status_of(problem))
}

/// A notice on a page that is otherwise there.
pub(crate) fn notice(problem: &Problem) -> Markup {
    html! {
        div.notice.bad role="alert" {
            p { strong { (words::sentence(&problem.detail)) } }
            @if let Some(advice) = advice(problem) { p { (advice) } }
            @if let Some(request) = problem.request { p.small { "Request " code { (request) } } }
        }
    }
}

/// In the place of a part of a page that could not be had.
pub(crate) fn missing_part(problem: &Problem) -> Markup {
    let begun = match problem.kind {
        Kind::Denied | Kind::NotFound => "You may not see this. ",
        _ => "This cannot be shown now. ",
    };
    html! { p.soft { (begun) (words::sentence(&problem.detail)) } }
}

const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "That cannot be meant",
        Kind::Unauthenticated => "Please sign in",
        Kind::Denied => "You may not do this",
        Kind::NotFound => "There is nothing here",
        Kind::Conflict => "That does not fit",
        Kind::Exhausted => "A little too much",
        Kind::Unavailable => "Back in a moment",
        Kind::Internal => "Something went wrong",
    }
}

fn advice(problem: &Problem) -> Option<String> {
    let wait = problem.retry_after.map_or_else(
        || "in a moment".to_owned(),
        |seconds| format!("in {}", words::counted(u64::from(seconds), "second")),
    );
    match problem.kind {
        Kind::Denied => Some("Ask an owner of your account to grant it to you.".into()),
        Kind::NotFound => Some("Check the address, or go to the first page.".into()),
        Kind::Unavailable => Some(format!("Nothing is lost. Try again {wait}.")),
        Kind::Exhausted => Some(format!("Try again {wait}.")),
        Kind::Internal => Some("If it happens again, tell the operator the request's id.".into()),
        Kind::Invalid | Kind::Conflict | Kind::Unauthenticated => None,
    }
}
