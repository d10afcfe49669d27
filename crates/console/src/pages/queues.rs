//! The queues, one for each service and class.

use api::jobs::{ListQueues, Queue, SetQueue};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse, Redirect},
};
use maud::{Markup, html};
use types::Name;

use crate::{
    answer::{Answer, Page, Shown},
    form::{Fields, form},
    layout,
    paging::{Paging, ROWS},
    paths,
    visitor::Person,
    words,
};

pub(crate) async fn list(person: Person, Query(Paging { after }): Query<Paging>) -> Shown {
    let page = person.client.call(ListQueues { after, limit: ROWS }).await?;
    let body = html! {
        header.title { h1 { "Queues" } p.lead { "Where each service’s jobs wait." } }
        @if page.items.is_empty() { (layout::nothing("No job was ever queued.")) } @else {
            div.wide tabindex="0" { table {
                thead { tr {
                    th { "Service" } th { "Class" } th { "State" }
                    th.number { "Waiting" } th.number { "Running" }
                    th.number { "Failed" } th.number { "Change" }
                } }
                tbody { @for queue in &page.items { (row(&person, queue)) } }
            } }
        }
        (layout::more("/operate/queues", page.next.as_deref()))
    };
    Ok(Page::new("Queues", body))
}

fn row(person: &Person, queue: &Queue) -> Markup {
    let jobs = paths::with_query("/operate/work", &[("service", queue.service.as_str())]);
    let action = format!("/operate/queues/{}/{}", queue.service, queue.class);
    let content = html! {
        @if queue.paused { button.quiet.small name="paused" value="no" { "Resume" } }
        @else { button.quiet.small name="paused" value="yes" { "Pause" } }
    };
    html! {
        tr {
            td { a href=(jobs) { (queue.service) } }
            td { (queue.class) }
            td {
                @if queue.paused { span.chip.busy { "paused" } } @else { span.chip.good { "open" } }
            }
            td.number { (words::number(queue.jobs.waiting())) }
            td.number { (words::number(queue.jobs.running)) }
            td.number { (words::number(queue.jobs.failed)) }
            td.number { (form(&person.form_token, &action, content)) }
        }
    }
}

pub(crate) async fn set(
    person: Person,
    Path((service, class)): Path<(Name, String)>,
    fields: Fields,
) -> Answer {
    let paused = Some(fields.get("paused") == "yes");
    person.client.call(SetQueue { paused, ..SetQueue::of(service, &class) }).await?;
    Ok(Redirect::to("/operate/queues").into_response())
}
