//! What all pages look like.

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use tenancy::Timestamp;

use crate::{layout::head, visit::Visit};

/// A page of a forum.
pub(crate) fn page(visit: &Visit, title: &str, content: &Markup) -> Response {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("{title} · {}", visit.forum)))
            body {
                (banner(visit))
                main { (content) }
                footer { (visit.forum) " · be kind to each other" }
            }
        }
    };
    Html(whole.into_string()).into_response()
}

/// The same page again, for a form that was not taken.
pub(crate) fn refused(visit: &Visit, title: &str, content: &Markup) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page(visit, title, content)).into_response()
}

fn banner(visit: &Visit) -> Markup {
    let links = [
        ("/", "Topics", true),
        ("/polls", "Polls", visit.tenant.has("polls")),
        ("/members", "Members", true),
        ("/badges", "Badges", visit.tenant.has("badges")),
    ];
    html! {
        header.banner {
            div.inner {
                a.brand href="/" { (visit.forum) }
                nav {
                    @for (path, label, _) in links.iter().filter(|(.., shown)| *shown) {
                        a href=(path) { (label) }
                    }
                }
                @if visit.tenant.has("search") {
                    form.search action="/search" role="search" {
                        input type="search" name="q" placeholder="Search" aria-label="Search";
                    }
                }
                div.who {
                    @match &visit.member {
                        Some(member) => {
                            (avatar(Some(&member.name)))
                            span.name { (member.name) }
                            form method="post" action="/logout" { button.link { "Sign out" } }
                        }
                        None => {
                            a href="/login" { "Sign in" }
                            a.button href="/join" { "Join" }
                        }
                    }
                }
            }
        }
    }
}

/// A round picture with the first letter of a name, of the same colour each time.
pub(crate) fn avatar(name: Option<&str>) -> Markup {
    let name = name.unwrap_or("?");
    let colour = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte)) % 8;
    let letter = name.chars().find(|c| c.is_alphanumeric()).unwrap_or('?');
    html! { span class={ "avatar c" (colour) } aria-hidden="true" { (letter.to_uppercase()) } }
}

/// Who wrote something.
pub(crate) fn author(name: Option<&str>) -> Markup {
    html! {
        @match name {
            Some(name) => span.name { (name) },
            None => span.name.gone { "former member" },
        }
    }
}

/// How long ago something was, with the moment itself at hand.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> Markup {
    let minutes = now.since(then).as_secs() / 60;
    let count = |number: u64, unit: &str| {
        format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
    };
    let moment = then.to_string();
    let text = match minutes {
        0 => "just now".to_owned(),
        1..60 => count(minutes, "minute"),
        60..1_440 => count(minutes / 60, "hour"),
        1_440..43_200 => count(minutes / 1_440, "day"),
        _ => moment.chars().take(10).collect(),
    };
    html! { time datetime=(moment) title=(moment) { (text) } }
}

/// Text as people wrote it: paragraphs, lines, and addresses to follow.
pub(crate) fn prose(text: &str) -> Markup {
    html! {
        @for paragraph in text.split("\n\n").filter(|text| !text.trim().is_empty()) {
            p {
                @for (number, line) in paragraph.trim_matches('\n').lines().enumerate() {
                    @if number > 0 { br; }
                    @for word in line.split_inclusive(' ') { (linked(word)) }
                }
            }
        }
    }
}

fn linked(word: &str) -> Markup {
    let address = word.trim_end().trim_end_matches(['.', ',', ';', ':', '!', '?', ')']);
    html! {
        @if address.starts_with("https://") || address.starts_with("http://") {
            a href=(address) rel="nofollow ugc noopener" { (address) }
            (word[address.len()..])
        } @else {
            (word)
        }
    }
}

/// What is wrong with a form, above its fields.
pub(crate) fn problem(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p.problem role="alert" { (text) } } }
}

/// `1 post`, `2 posts`.
pub(crate) fn counted(number: i64, unit: &str) -> String {
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_escaped_and_its_addresses_lead_on() {
        let shown = prose("<script>\nsee https://example.com/a?b=1&c=2.\n\nend").into_string();
        assert_eq!(
            shown,
            "<p>&lt;script&gt;<br>see <a href=\"https://example.com/a?b=1&amp;c=2\" \
             rel=\"nofollow ugc noopener\">https://example.com/a?b=1&amp;c=2</a>.</p><p>end</p>"
        );
        assert!(!prose("javascript:alert(1)").into_string().contains("<a "));
        assert!(!prose("https://x\"onclick=\"y").into_string().contains("\"onclick"));
    }
}
