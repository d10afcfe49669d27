//! What each code of a problem means: where a problem document's `type` leads.

use axum::extract::Path;
use maud::{Markup, html};

use crate::{
    answer::{Failure, Page, Shown},
    layout,
};

/// One section for each code: `## CODE`, then what it means and what to do.
const TEXT: &str = include_str!("../../../../docs/problems.md");

/// The sections, by their codes.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEXT.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'))
}

pub(crate) async fn list() -> Shown {
    let body = html! {
        header.title {
            h1 { "Problems" }
            p.lead { "What the platform answers when it refuses something, and what to do." }
        }
        dl.problems {
            @for (code, text) in sections() {
                dt { a href={ "/problems/" (code) } { code { (code) } } }
                dd { (prose(text)) }
            }
        }
    };
    Ok(Page::new("Problems", body))
}

pub(crate) async fn show(Path(code): Path<String>) -> Shown {
    let found = sections().find(|(known, _)| *known == code);
    let (code, text) = found.ok_or_else(|| Failure::not_found("problem"))?;
    let body = html! {
        (layout::back("/problems", "Problems"))
        header.title { h1 { code { (code) } } }
        p { (prose(text)) }
    };
    Ok(Page::new(code, body))
}

/// Text in which what stands between backticks is code.
fn prose(text: &str) -> Markup {
    html! {
        @for (place, part) in text.trim().split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
