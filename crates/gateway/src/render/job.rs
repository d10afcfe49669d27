//! The page of a job that a request became.

use api::jobs::{Job, JobState};
use maud::{Markup, html};

use super::layout;

/// How far a job is; it looks again by itself until there is nothing more to come.
pub(crate) fn job(job: &Job) -> Markup {
    let progress = job.progress.clone().unwrap_or_default();
    let title = heading(job.state);
    let content = html! {
        h1 { (title) }
        p.lead { (lead(job.state)) }
        @if !job.state.has_ended() {
            @if let Some(percent) = progress.percent {
                progress max="100" value=(percent) aria-label="How much is done" {}
                p.help { (percent) " %" }
            }
            @if let Some(note) = &progress.note { p.help { (note) } }
        }
        p.way { a href="/" { "Go on" } }
    };
    layout(title, !job.state.has_ended(), &content)
}

const fn heading(state: JobState) -> &'static str {
    match state {
        JobState::Running => "Being done",
        JobState::Succeeded => "Done",
        JobState::Failed => "It did not succeed",
        JobState::Cancelled | JobState::Dropped => "Taken back",
        JobState::SetAside => "Set aside",
        JobState::Blocked
        | JobState::Held
        | JobState::Delayed
        | JobState::Ready
        | JobState::Stranded => "Waiting its turn",
    }
}

const fn lead(state: JobState) -> &'static str {
    match state {
        JobState::Succeeded => "Your request has been completed.",
        JobState::Failed => {
            "Your request could not be completed. The people who run this site can see why."
        }
        JobState::Cancelled | JobState::Dropped => "Your request was cancelled.",
        JobState::SetAside => {
            "This site was updated before your request was done. The people who run it decide \
             whether it still is."
        }
        _ => {
            "Your request has been accepted. This page shows its progress; you need not wait for \
              it."
        }
    }
}
