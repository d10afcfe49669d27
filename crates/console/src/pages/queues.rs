//! The queues, one for each service and class.

use api::jobs::{Drain, DrainState, Gate, ListQueues, Queue};
use axum::extract::Query;
use maud::{Markup, html};

use crate::{
    answer::{Page, Shown},
    layout,
    paging::{Paging, ROWS},
    paths, states,
    visitor::Person,
    words,
};

const PATH: &str = "/operate/queues";

/// Where the page of a queue is.
pub(crate) fn path_of(queue: &Queue) -> String {
    format!("{PATH}/{}/{}", queue.service, queue.class)
}

pub(crate) async fn list(person: Person, Query(Paging { after }): Query<Paging>) -> Shown {
    let here = match &after {
        Some(after) => paths::with_query(PATH, &[("after", after)]),
        None => PATH.to_owned(),
    };
    let page = person.client.call(ListQueues { after, limit: ROWS }).await?;
    let is_going = page.items.iter().any(is_going);
    let content = html! {
        @if page.items.is_empty() { (layout::nothing("No job was ever queued.")) } @else {
            div.wide tabindex="0" { table {
                thead { tr {
                    th { "Queue" } th { "State" }
                    th.number { "Waiting" } th.number { "Running" }
                    th.number { "Stranded" } th.number { "Failed" }
                } }
                tbody { @for queue in &page.items { (row(queue)) } }
            } }
        }
    };
    let body = html! {
        header.title { h1 { "Queues" } p.lead { "Where each service’s jobs wait." } }
        (layout::live(&here, is_going, content))
        (layout::more(PATH, page.next.as_deref()))
    };
    Ok(Page::new("Queues", body).going(is_going))
}

/// Whether its numbers change by themselves.
pub(crate) fn is_going(queue: &Queue) -> bool {
    queue.jobs.running > 0 || queue.jobs.ready > 0 || queue.jobs.delayed > 0
}

fn row(queue: &Queue) -> Markup {
    let jobs = &queue.jobs;
    html! {
        tr {
            td {
                a href=(path_of(queue)) { (queue.service) }
                @if queue.class != api::jobs::DEFAULT_CLASS { " " span.soft { (queue.class) } }
            }
            td { (chips(queue)) }
            td.number { (words::number(jobs.waiting())) }
            td.number { (words::number(jobs.running)) }
            td.number { (bad(jobs.stranded)) }
            td.number { (bad(jobs.failed)) }
        }
    }
}

/// A number that should be nought.
pub(crate) fn bad(number: u64) -> Markup {
    html! {
        @if number > 0 { strong.bad { (words::number(number)) } } @else { "0" }
    }
}

/// Whether anything gets out of it, and in.
pub(crate) fn chips(queue: &Queue) -> Markup {
    let drain = queue.drain.as_ref();
    html! {
        span.chips {
            @if queue.paused { span.chip.busy { "paused" } }
            @if let Some(Drain { state, .. }) = drain { (states::chip(state)) }
            @else if queue.gate != Gate::Open { (states::chip(&queue.gate)) }
            @else if !queue.paused { span.chip.good { "open" } }
        }
    }
}

/// How far it is emptied, if it is to be.
pub(crate) fn drained(queue: &Queue) -> Markup {
    let Some(Drain { left, deadline, state, .. }) = &queue.drain else { return html! {} };
    html! {
        div.notice.bad[*state == DrainState::Overdue] role="status" {
            @match state {
                DrainState::Empty => p { strong { "It is empty." } " It stays so until its gate opens." },
                DrainState::Draining => p {
                    strong { (words::counted(*left, "job")) @if *left == 1 { " is" } @else { " are" }
                        " left." }
                    " It should be empty by " (words::second(*deadline)) "."
                },
                DrainState::Overdue => p {
                    strong { "It is not empty, and the time is over." }
                    " It should have been by " (words::second(*deadline)) "; "
                    (words::counted(*left, "job")) " left. They go on."
                },
            }
        }
    }
}
