//! The module `search`: finds words in titles and posts.

use axum::{Router, extract::Query, response::Response, routing::get};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    error::Error,
    pages::{self, page},
    store::topics::{self, Found},
    text,
    visit::{App, Visit},
};

const MODULE: &str = "search";
const FOUND_MAX: i64 = 50;
/// How many letters of a post are shown, and how many of them before the match.
const EXCERPT: usize = 240;
const BEFORE: usize = 60;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/search", get(search))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    q: String,
}

async fn search(visit: Visit, Query(wanted): Query<Wanted>) -> Result<Response, Error> {
    visit.needs(MODULE)?;
    if wanted.q.trim().is_empty() {
        return Ok(page(&visit, "Search", &form("", None)));
    }
    let words = match text::line(&wanted.q, "your search", 2, 100) {
        Err(Error::Invalid(why)) => {
            return Ok(pages::refused(&visit, "Search", &form(&wanted.q, Some(&why))));
        }
        other => other?,
    };
    let found = topics::search(&visit.db, &words, FOUND_MAX).await?;
    let content = html! {
        (form(&words, None))
        @if found.is_empty() {
            div.card.empty { p { "Nothing was found for “" (words) "”." } }
        } @else {
            ul.rows.card { @for found in &found { (row(&visit, found, &words)) } }
        }
    };
    Ok(page(&visit, "Search", &content))
}

fn form(words: &str, problem: Option<&str>) -> Markup {
    html! {
        h1 { "Search" }
        (pages::problem(problem))
        form.searching action="/search" {
            input type="search" name="q" value=(words) maxlength="100" autofocus
                aria-label="Search";
            button { "Search" }
        }
    }
}

fn row(visit: &Visit, found: &Found, words: &str) -> Markup {
    html! {
        li {
            (pages::avatar(found.author.as_deref()))
            div.main {
                a.title href={ "/topics/" (found.topic) } { (found.title) }
                p.excerpt { (excerpt(&found.body, words)) }
                div.meta {
                    (pages::author(found.author.as_deref()))
                    " · " (pages::ago(found.created_at, visit.now))
                }
            }
        }
    }
}

/// The part of a text around the words, as near as changes of case allow.
fn excerpt(body: &str, words: &str) -> String {
    let folded = body.to_lowercase();
    let place = folded.find(&words.to_lowercase()).unwrap_or(0);
    let start = folded[..place].chars().count().saturating_sub(BEFORE);
    let shown: String = body.chars().skip(start).take(EXCERPT).collect();
    let rest = body.chars().count() > start + EXCERPT;
    format!("{}{shown}{}", if start > 0 { "… " } else { "" }, if rest { " …" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_the_words() {
        assert_eq!(excerpt("Short", "x"), "Short");
        let long = format!("{} NEEDLE {}", "ä".repeat(300), "z".repeat(300));
        let shown = excerpt(&long, "needle");
        assert!(shown.starts_with("… ä") && shown.contains("NEEDLE") && shown.ends_with("z …"));
    }
}
