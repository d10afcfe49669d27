//! What a page is without a forum.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

/// A page that knows no forum.
pub(crate) fn plain(title: &str, text: &str, sign_in: bool) -> Html<String> {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.bare {
                main.card {
                    h1 { (title) }
                    p { (text) }
                    p.actions {
                        @if sign_in {
                            a.button href="/login" { "Sign in" }
                            a.button.quiet href="/join" { "Join" }
                        } @else {
                            a.button href="/" { "To the first page" }
                        }
                    }
                }
            }
        }
    };
    Html(whole.into_string())
}

/// What stands at the head of every page.
pub(crate) fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) }
            link rel="stylesheet" href="/style.css";
            link rel="icon" href="/icon.svg";
        }
    }
}
