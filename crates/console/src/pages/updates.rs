//! What a customer reads of the versions that an instance comes to: what is planned or under way, and
//! how the last one went.

use std::time::Duration;

use api::{
    Kind, Problem,
    configurator::{HOLD_SECONDS, Instance, LastMove},
    releases::{InstanceUpdate, Update, UpdateState},
};
use maud::{Markup, html};
use types::{Digest, Timestamp};

use crate::{failure, words};

/// Who may not know of it, sees the rest.
pub(crate) fn notices(
    instance: &Instance,
    update: &Result<InstanceUpdate, Problem>,
    now: Timestamp,
) -> Markup {
    let last = instance.last_move.as_ref();
    let frozen = instance.frozen_until.filter(|until| *until > now);
    let update = match update {
        Ok(found) => Ok(found.update.as_ref()),
        Err(problem) if matches!(problem.kind, Kind::Denied | Kind::NotFound) => Ok(None),
        Err(problem) => Err(problem),
    };
    html! {
        @match update {
            Err(problem) => (failure::missing_part(problem)),
            Ok(Some(update)) => (coming(update, frozen, last)),
            Ok(None) => @if let Some(until) = frozen { (stays(until)) },
        }
        @if let Some(last) = last { (how_it_went(last, &update)) }
    }
}

fn stays(until: Timestamp) -> Markup {
    html! {
        div.notice { p { strong { "It stays on its version" } " until " (words::moment(until)) "." } }
    }
}

fn version(release: &Digest) -> Markup {
    html! { code title=(release) { (release.short()) } }
}

fn coming(update: &Update, frozen: Option<Timestamp>, last: Option<&LastMove>) -> Markup {
    let to = version(&update.to);
    let is_told = last.is_some_and(|last| last.to == update.to && last.ended.is_some());
    match update.state {
        UpdateState::Planned => notice(
            html! { strong { "A new version comes " (words::moment(update.at)) ". " } "It is " (to) "." },
            update,
            frozen,
        ),
        UpdateState::Waiting => notice(
            html! { strong { "A new version comes soon. " } "It is " (to) ", and others move before." },
            update,
            frozen,
        ),
        UpdateState::Paused => notice(
            html! {
                strong { "A new version was stopped on its way. " }
                "It is " (to) ", and comes when the operator lets it. Nothing has changed here."
            },
            update,
            frozen,
        ),
        UpdateState::Moving => {
            notice(html! { strong { "A new version comes now. " } "It is " (to) "." }, update, None)
        }
        // Why is said of the last move.
        UpdateState::Failed if is_told => html! {},
        UpdateState::Failed => html! {
            div.notice { p {
                strong { "The version " (to) " could not be taken " } (words::moment(update.at))
                ": what was to serve it did not become healthy. It is served as before, and the "
                "operator sees why."
            } }
        },
        UpdateState::Excepted => html! {
            div.notice { p {
                strong { "It stays on its version. " }
                "The operator has left it out where others come to " (to) "."
            } }
        },
        UpdateState::Done if is_told => html! {},
        UpdateState::Done => html! {
            p.soft.small {
                "Brought to the version " (to) " " (words::moment(update.at))
                ". Nobody was kept out."
            }
        },
    }
}

/// What is coming, what it is for visitors, and what it waits for.
fn notice(what: Markup, update: &Update, frozen: Option<Timestamp>) -> Markup {
    let frozen = frozen.filter(|until| update.state != UpdateState::Planned || *until > update.at);
    html! {
        div.notice {
            p { (what) }
            p { (visitors(update)) }
            @if let Some(until) = frozen {
                p { "It stays on its version until " (words::moment(until)) ", and moves after that." }
            }
        }
    }
}

fn visitors(update: &Update) -> Markup {
    let hold = Duration::from_secs(HOLD_SECONDS.into());
    let longest = update.longest_millis.map(Duration::from_millis);
    html! {
        @if !update.closes { "Visitors notice nothing." }
        @else {
            "Requests wait while its database is brought along; after " (HOLD_SECONDS)
            " seconds visitors are told that it is closed for a moment. "
            @match longest {
                None => "How long that takes is not known yet.",
                Some(longest) if longest <= hold => {
                    "With the last ones it took " (seconds(longest)) " at most, so nobody was turned away."
                }
                Some(longest) => { "With the last ones it took " (seconds(longest)) " at most." }
            }
        }
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..120 => format!("{:.1} s", time.as_secs_f64()),
        long => format!("{} minutes", long.div_ceil(60)),
    }
}

/// How it came to the version that it has, or why it did not come to another one.
fn how_it_went(last: &LastMove, update: &Result<Option<&Update>, &Problem>) -> Markup {
    let is_known = update.is_ok_and(|update| update.is_some_and(|it| it.to == last.to));
    html! {
        @match (&last.ended, &last.problem) {
            (None, _) if is_known => {},
            (None, _) => div.notice { p {
                strong { "A new version comes. " } "Visitors wait a moment meanwhile."
            } },
            (Some(ended), Some(why)) => div.notice { p {
                strong { "A new version could not be taken " } (words::moment(*ended))
                ". It is served as before, with all its data. " (words::sentence(why))
            } },
            (Some(ended), None) => p.soft.small {
                "Brought to a new version " (words::moment(*ended))
                @if last.held_millis > 0 {
                    ". Visitors waited for " (seconds(Duration::from_millis(last.held_millis)))
                }
                @if last.closed_millis > 0 {
                    ", and then it was closed for "
                    (seconds(Duration::from_millis(last.closed_millis)))
                }
                "."
            },
        }
    }
}
