//! A job: how far it is, what it prints, taking it back and trying it again.

use api::{
    Problem,
    jobs::{CancelJob, GetInstanceJob, GetJob, Job, JobState, ReplayJob},
};
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect},
};
use maud::{Markup, html};
use serde_json::Value;
use types::{AccountId, InstanceId, JobId};

use crate::{
    answer::{Answer, Page, Shown},
    form::form,
    layout,
    names::Names,
    pages::jobs,
    paths, states,
    visitor::Person,
    words,
};

/// So much of a payload or result is shown.
const SHOWN_MAX: usize = 16 << 10;

/// A job of an instance, as its address names it.
type OfInstance = (AccountId, InstanceId, JobId);

pub(crate) async fn show(person: Person, Path(job): Path<JobId>) -> Shown {
    let job = person.client.call(GetJob { job }).await?;
    let path = format!("/operate/work/{}", job.job);
    Ok(page(&person, &job, &path, ("/operate/work", "Jobs")).await)
}

pub(crate) async fn of_instance(
    person: Person,
    Path((account, instance, job)): Path<OfInstance>,
) -> Shown {
    let job = person.client.call(GetInstanceJob { account, instance, job }).await?;
    let all = format!("{}/jobs", paths::instance(account, instance));
    Ok(page(&person, &job, &format!("{all}/{}", job.job), (&all, "Jobs")).await)
}

async fn page(person: &Person, job: &Job, path: &str, (back, title): (&str, &str)) -> Page {
    let names = jobs::names(person, std::slice::from_ref(job)).await;
    let is_going = jobs::is_going(job);
    let content = html! {
        (layout::back(back, title))
        header.title {
            div.heading { h1 { (job.name) } (states::chip(&job.state)) }
            p.lead { "for " (names.instance(job.account, job.instance)) }
        }
        (standing(job))
        (buttons(person, job, path))
        section.card { (facts(job, &names)) }
        section.card {
            h2 { @if job.state == JobState::Running { "What it prints" } @else { "What it printed" } }
            (words::printed(&job.output, None))
        }
        (document("Payload", Some(&job.payload).filter(|payload| !payload.is_null())))
        (document("Result", job.result.as_ref()))
    };
    Page::new(format!("Job {}", job.name), layout::live(path, is_going, content)).going(is_going)
}

/// What there is to say before all else.
fn standing(job: &Job) -> Markup {
    let bad = matches!(job.state, JobState::Failed | JobState::Stranded);
    html! {
        @if job.state == JobState::Running && job.progress.is_some() {
            div.notice { p.progress { (jobs::how_far(job)) } }
        }
        @if let Some(problem) = &job.problem {
            div.notice.bad[bad] { p { (words::sentence(problem)) } }
        }
        @if let Some(what) = job.waits_for.as_ref().filter(|_| job.state.waits()) {
            div.notice.bad[bad] { p { "It waits for " (what) "." } }
        }
    }
}

/// One that has not ended can be taken back, and one that came to nothing tried again.
fn buttons(person: &Person, job: &Job, path: &str) -> Markup {
    let is_over = matches!(job.state, JobState::Failed | JobState::Cancelled | JobState::Dropped);
    let (action, content) = match job.state {
        JobState::Running => ("cancellation", html! { button.danger { "Stop it" } }),
        _ if !job.state.has_ended() => ("cancellation", html! { button.quiet { "Take it back" } }),
        _ if is_over => ("replay", html! { button { "Try it again" } }),
        _ => return html! {},
    };
    form(&person.form_token, &format!("{path}/{action}"), content)
}

fn facts(job: &Job, names: &Names) -> Markup {
    html! {
        dl.facts {
            dt { "Service" }
            dd {
                (job.service)
                @if let Some(release) = &job.release { ", release " code { (release.short()) } }
            }
            @if job.version > 1 { dt { "Version" } dd { (job.version) } }
            dt { "Queue" } dd { (job.class) }
            dt { "Queued" } dd { (words::second(job.created)) }
            @if job.state == JobState::Delayed { dt { "Due" } dd { (words::second(job.not_before)) } }
            @if let Some(started) = job.started {
                dt { "Begun" } dd { (words::second(started)) (jobs::took(job)) }
            }
            @if let Some(ended) = job.ended { dt { "Ended" } dd { (words::second(ended)) } }
            dt { "Tries" }
            dd {
                (job.attempts) " of " (job.attempts_max)
                @if job.lost > 0 { ", " (job.lost) " of them lost with their node" }
            }
            @if let Some(node) = job.node { dt { "Node" } dd { (names.node(node)) } }
            dt { "Id" } dd { code.small { (job.job) } }
        }
    }
}

fn document(title: &str, value: Option<&Value>) -> Markup {
    let text = value.and_then(|value| serde_json::to_string_pretty(value).ok());
    html! {
        @if let Some(text) = text {
            section.card {
                h2 { (title) }
                @if text.len() > SHOWN_MAX { p.soft { "The beginning of it." } }
                (words::printed(&text[..text.floor_char_boundary(SHOWN_MAX)], None))
            }
        }
    }
}

pub(crate) async fn cancel(person: Person, Path(job): Path<JobId>) -> Answer {
    let Job { account, instance, .. } = person.client.call(GetJob { job }).await?;
    settled(person.client.call(CancelJob { account, instance, job }).await, "/operate/work")
}

pub(crate) async fn replay(person: Person, Path(job): Path<JobId>) -> Answer {
    let Job { account, instance, .. } = person.client.call(GetJob { job }).await?;
    settled(person.client.call(ReplayJob { account, instance, job }).await, "/operate/work")
}

pub(crate) async fn cancel_of_instance(
    person: Person,
    Path((account, instance, job)): Path<OfInstance>,
) -> Answer {
    let all = format!("{}/jobs", paths::instance(account, instance));
    settled(person.client.call(CancelJob { account, instance, job }).await, &all)
}

pub(crate) async fn replay_of_instance(
    person: Person,
    Path((account, instance, job)): Path<OfInstance>,
) -> Answer {
    let all = format!("{}/jobs", paths::instance(account, instance));
    settled(person.client.call(ReplayJob { account, instance, job }).await, &all)
}

/// The job's page shows what became of it.
fn settled(asked: Result<Job, Problem>, all: &str) -> Answer {
    let job = asked?;
    Ok(Redirect::to(&format!("{all}/{}", job.job)).into_response())
}
