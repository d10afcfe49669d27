//! A queue: what waits in it by name and version, what runs, what has failed, and closing it.

use api::{
    Problem,
    jobs::{
        Counts, Gate, GetQueue, Job, JobState, ListJobs, QueueDetail, QueuedKind, ReplayJobs,
        SETUP_CLASS, SetQueue,
    },
};
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect},
};
use maud::{Markup, html};
use types::Name;

use crate::{
    answer::{Answer, Failure, Page, Shown},
    failure,
    form::{Fields, form},
    layout,
    names::Names,
    pages::{
        jobs,
        queues::{bad, chips, drained, is_going, path_of},
    },
    paging::ALL,
    paths,
    visitor::Person,
    words,
};

/// So many of those that run, and of those that have failed, are shown.
const ROWS_MAX: usize = 20;

type Which = (Name, String);

pub(crate) async fn show(person: Person, Path((service, class)): Path<Which>) -> Shown {
    let look = GetQueue { service: service.clone(), class: class.clone() };
    let detail = person.client.call(look).await?;
    let (running, failed, aside) = tokio::join!(
        listed(&person, &service, &class, JobState::Running),
        listed(&person, &service, &class, JobState::Failed),
        listed(&person, &service, &class, JobState::SetAside),
    );
    let all: Vec<Job> =
        [&running, &failed, &aside].into_iter().flatten().flatten().cloned().collect();
    let names = jobs::names(&person, &all).await;
    let queue = &detail.queue;
    let is_going = is_going(queue);
    let path = path_of(queue);
    let content = html! {
        (drained(queue))
        (stranded(&detail.kinds))
        section.card { h2 { "What is in it" } (kinds(&detail)) }
        @if queue.jobs.running > 0 {
            section.card { h2 { "Running" } (rows(&running, queue.jobs.running, &names)) }
        }
        @if queue.jobs.failed > 0 {
            section.card #failed {
                h2 { "Failed for good" }
                (replays(&person, &detail, &path))
                (rows(&failed, queue.jobs.failed, &names))
            }
        }
        (set_aside(&person, &aside, &path, &names))
    };
    let body = html! {
        (layout::back("/operate/queues", "Queues"))
        header.title {
            div.heading { h1 { (service) } (chips(queue)) }
            p.lead {
                "The queue " (class)
                @if let Some(limit) = queue.concurrency {
                    ", of which at most " (limit) " run at once"
                }
                " · " a href=(paths::with_query("/operate/work", &[("service", service.as_str())])) {
                    "all jobs of " (service)
                }
            }
        }
        (layout::live(&path, is_going, content))
        (controls(&person, &detail, &path))
    };
    Ok(Page::new(format!("Queue of {service}"), body).going(is_going))
}

/// The newest of the queue's jobs in a state.
async fn listed(
    person: &Person,
    service: &Name,
    class: &str,
    state: JobState,
) -> Result<Vec<Job>, Problem> {
    let (service, state) = (Some(service.clone()), Some(state));
    let operation = ListJobs { service, state, limit: ALL, ..ListJobs::default() };
    let jobs = person.client.call(operation).await?.items.into_iter();
    Ok(jobs.filter(|job| job.class == class).take(ROWS_MAX).collect())
}

/// Nobody would find these by waiting.
fn stranded(kinds: &[QueuedKind]) -> Markup {
    html! {
        @for kind in kinds.iter().filter(|kind| kind.jobs.stranded > 0) {
            div.notice.bad role="alert" {
                p {
                    strong {
                        (words::counted(kind.jobs.stranded, "job")) " of " code { (kind.name) }
                        ", version " (kind.version)
                        @if kind.jobs.stranded == 1 { " is stranded." } @else { " are stranded." }
                    }
                    " No release accepts this version. Nothing is done until one comes whose "
                    code { "accepts" } " includes it."
                }
            }
        }
    }
}

fn kinds(detail: &QueueDetail) -> Markup {
    if detail.kinds.is_empty() {
        return html! { p.soft { "Nothing waits, runs or has failed." } };
    }
    html! {
        div.wide tabindex="0" { table.small {
            thead { tr {
                th { "Name" } th.number { "Version" } th.number { "Ready" } th.number { "Not due" }
                th.number { "Behind others" } th.number { "Held" } th.number { "Stranded" }
                th.number { "Running" } th.number { "Failed" }
            } }
            tbody { @for QueuedKind { name, version, jobs } in &detail.kinds {
                @let Counts { blocked, held, delayed, ready, stranded, running, failed } = *jobs;
                tr {
                    td { code { (name) } }
                    td.number { (version) }
                    @for count in [ready, delayed, blocked, held] {
                        td.number { (words::number(count)) }
                    }
                    td.number { (bad(stranded)) }
                    td.number { (words::number(running)) }
                    td.number { (bad(failed)) }
                }
            } }
        } }
    }
}

fn rows(jobs: &Result<Vec<Job>, Problem>, all: u64, names: &Names) -> Markup {
    html! {
        @match jobs {
            Err(problem) => (failure::missing_part(problem)),
            Ok(jobs) => {
                @if (jobs.len() as u64) < all {
                    p.soft.small { "The newest " (jobs.len()) " of " (words::number(all)) "." }
                }
                (jobs::table(jobs, names))
            }
        }
    }
}

/// What changed with the release that its instance moved to.
fn set_aside(
    person: &Person,
    jobs: &Result<Vec<Job>, Problem>,
    path: &str,
    names: &Names,
) -> Markup {
    if jobs.as_ref().is_ok_and(Vec::is_empty) {
        return html! {};
    }
    let action = format!("{path}/replays");
    html! {
        section.card #aside {
            h2 { "Set aside at an update" }
            @match jobs {
                Err(problem) => (failure::missing_part(problem)),
                Ok(jobs) => {
                    p.soft {
                        "They changed with the release that their instance moved to. Put back, those "
                        "that no release accepts wait for one that does. After "
                        (api::jobs::ASIDE_DAYS) " days they are forgotten."
                    }
                    (form(&person.form_token, &action, html! {
                        input type="hidden" name="set_aside" value="yes";
                        button.quiet { "Put all back" }
                    }))
                    (jobs::table(jobs, names))
                }
            }
        }
    }
}

/// One form for each name: those of a name fail for one reason, as a rule.
fn replays(person: &Person, detail: &QueueDetail, path: &str) -> Markup {
    let mut failed: Vec<(&str, u64)> = Vec::new();
    for kind in detail.kinds.iter().filter(|kind| kind.jobs.failed > 0) {
        match failed.iter_mut().find(|(name, _)| *name == kind.name) {
            Some((_, count)) => *count += kind.jobs.failed,
            None => failed.push((&kind.name, kind.jobs.failed)),
        }
    }
    let action = format!("{path}/replays");
    html! {
        div.buttons { @for (name, count) in failed {
            (form(&person.form_token, &action, html! {
                input type="hidden" name="name" value=(name);
                button.quiet {
                    @if count == 1 { "Try " (name) " again" }
                    @else { "Try all " (words::number(count)) " of " (name) " again" }
                }
            }))
        } }
    }
}

fn controls(person: &Person, detail: &QueueDetail, path: &str) -> Markup {
    let queue = &detail.queue;
    let send = |content: Markup| form(&person.form_token, path, content);
    html! {
        section.card {
            h2 { "Let nothing out" }
            p.soft { "Workers get no job of it until it is resumed; what runs goes on." }
            (send(html! {
                @if queue.paused { button name="paused" value="no" { "Resume" } }
                @else { button.quiet name="paused" value="yes" { "Pause" } }
            }))
        }
        // Set-ups have no gate: whoever ordered waits for them.
        @if queue.class != SETUP_CLASS { section.card {
            h2 { "Let nothing in" }
            @if queue.gate == Gate::Open {
                p.soft { "New jobs are kept until the gate opens, or refused, to be sent again later." }
                (send(html! { div.buttons {
                    button.quiet name="gate" value="hold" { "Keep new jobs" }
                    button.quiet name="gate" value="refuse" { "Refuse new jobs" }
                } }))
                h3 { "Empty it" }
                (send(html! { div.line.end {
                    label.field { span { "Within minutes" }
                        input type="number" name="minutes" value="10" min="1" max="1440" required;
                    }
                    label.field { span { "New jobs are" }
                        select name="gate" {
                            option value="hold" { "kept" } option value="refuse" { "refused" }
                        }
                    }
                    button.quiet { "Drain" }
                } }))
            } @else {
                p.soft {
                    @if queue.gate == Gate::Hold { "New jobs are kept until the gate opens." }
                    @else { "New jobs are refused, to be sent again later." }
                }
                (send(html! { button name="gate" value="open" { "Open the gate" } }))
            }
        } }
    }
}

pub(crate) async fn set(
    person: Person,
    Path((service, class)): Path<Which>,
    fields: Fields,
) -> Answer {
    let nothing = SetQueue::of(service, &class);
    let change = SetQueue {
        paused: given(&fields, "paused").map(|answer| answer == "yes"),
        gate: given(&fields, "gate").map(gate).transpose()?,
        drain_seconds: given(&fields, "minutes").map(seconds).transpose()?,
        ..nothing
    };
    let queue = person.client.call(change).await?;
    Ok(Redirect::to(&path_of(&queue)).into_response())
}

fn given<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    Some(fields.get(name)).filter(|value| !value.is_empty())
}

fn gate(text: &str) -> Result<Gate, Failure> {
    match text {
        "open" => Ok(Gate::Open),
        "hold" => Ok(Gate::Hold),
        "refuse" => Ok(Gate::Refuse),
        _ => Err(incomplete()),
    }
}

fn seconds(minutes: &str) -> Result<u32, Failure> {
    let minutes: u32 = minutes.parse().map_err(|_| incomplete())?;
    minutes.checked_mul(60).ok_or_else(incomplete)
}

fn incomplete() -> Failure {
    Problem::invalid("form_incomplete", "the form was not complete; load the page again").into()
}

pub(crate) async fn replay(
    person: Person,
    Path((service, class)): Path<Which>,
    fields: Fields,
) -> Answer {
    let back = format!("/operate/queues/{service}/{class}");
    let name = given(&fields, "name").map(str::to_owned);
    let set_aside = given(&fields, "set_aside").is_some();
    person.client.call(ReplayJobs { service, class, name, set_aside, limit: None }).await?;
    Ok(Redirect::to(&back).into_response())
}
