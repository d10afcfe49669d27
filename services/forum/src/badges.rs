//! The module `badges`: small honours for what members have done.

use axum::{Router, response::Response, routing::get};
use maud::{Markup, html};

use crate::{
    error::Error,
    pages::page,
    store::members::Record,
    visit::{App, Visit},
};

const MODULE: &str = "badges";

/// An honour, and who has earned it.
struct Badge {
    sign: &'static str,
    title: &'static str,
    what: &'static str,
    earned: fn(&Record) -> bool,
}

const BADGES: &[Badge] = &[
    Badge { sign: "✎", title: "First words", what: "wrote a post", earned: |m| m.posts >= 1 },
    Badge { sign: "❝", title: "Talker", what: "wrote 10 posts", earned: |m| m.posts >= 10 },
    Badge { sign: "★", title: "Pillar", what: "wrote 100 posts", earned: |m| m.posts >= 100 },
    Badge { sign: "✦", title: "Opener", what: "opened 3 topics", earned: |m| m.topics >= 3 },
    Badge { sign: "✓", title: "Voter", what: "voted in a poll", earned: |m| m.votes >= 1 },
    Badge { sign: "⚖", title: "Citizen", what: "voted in 10 polls", earned: |m| m.votes >= 10 },
];

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/badges", get(list))
}

async fn list(visit: Visit) -> Result<Response, Error> {
    visit.needs(MODULE)?;
    let content = html! {
        h1 { "Badges" }
        p.lead {
            "Small thanks for taking part. You find them beside the "
            a href="/members" { "members" } "."
        }
        ul.people {
            @for badge in BADGES {
                li.card {
                    span.badge.large { (badge.sign) }
                    div.main {
                        span.name { (badge.title) }
                        div.meta { (badge.what) }
                    }
                }
            }
        }
    };
    Ok(page(&visit, "Badges", &content))
}

/// The honours of one member.
pub(crate) fn row(member: &Record) -> Markup {
    html! {
        div.badges {
            @for badge in BADGES.iter().filter(|badge| (badge.earned)(member)) {
                span.badge title={ (badge.title) ": " (badge.what) } { (badge.sign) }
            }
        }
    }
}
