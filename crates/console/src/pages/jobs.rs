//! Jobs: those of an instance for its customer, and all of them for who runs the platform.

use std::collections::BTreeSet;

use api::{
    Problem,
    jobs::{GetJob, Job, ListInstanceJobs, ListJobs},
    releases::ListNodes,
};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use serde::Deserialize;
use types::{AccountId, InstanceId, JobId};

use crate::{
    answer::{Failure, Page, Shown},
    layout,
    names::Names,
    paging::{ALL, ROWS},
    paths, states,
    visitor::Person,
    words,
};

pub(crate) async fn of_instance(
    person: Person,
    Path((account, instance)): Path<(AccountId, InstanceId)>,
) -> Shown {
    let (body, is_going) = section(&person, account, instance).await?;
    Ok(Page::new("Jobs", body).going(is_going))
}

/// The newest jobs of an instance, and whether one of them is under way.
pub(crate) async fn section(
    person: &Person,
    account: AccountId,
    instance: InstanceId,
) -> Result<(Markup, bool), Problem> {
    let operation = ListInstanceJobs {
        account,
        instance,
        state: None,
        name: None,
        after: None,
        limit: Some(20),
    };
    let jobs = person.client.call(operation).await?.items;
    let is_going = jobs.iter().any(is_going);
    let content = html! {
        h2 { "Jobs" }
        @if jobs.is_empty() { (layout::nothing("Nothing has been run for it yet.")) }
        div.jobs { @for job in &jobs { (unfolding(job)) } }
    };
    let path = format!("{}/jobs", paths::instance(account, instance));
    Ok((layout::live(&path, is_going, content), is_going))
}

fn is_going(job: &Job) -> bool {
    !job.state.has_ended()
}

fn unfolding(job: &Job) -> Markup {
    html! {
        details id=(job.job) {
            summary {
                code { (job.name) } (states::chip(&job.state))
                span.soft.small.end {
                    (words::moment(job.started.unwrap_or(job.created))) (took(job))
                }
            }
            (words::printed(&job.output, None))
        }
    }
}

fn took(job: &Job) -> Markup {
    let tries = (job.attempts > 1).then(|| format!(", tried {} times", job.attempts));
    let took = job.started.zip(job.ended).map(|(started, ended)| ended.since(started));
    html! {
        @if let Some(took) = took {
            ", took " (took.as_millis() / 1_000) "."
            (format!("{:02}", took.as_millis() % 1_000 / 10)) " s"
        }
        @if let Some(tries) = tries { (tries) }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filter {
    #[serde(default)]
    service: String,
    after: Option<String>,
}

pub(crate) async fn list(person: Person, Query(filter): Query<Filter>) -> Shown {
    let service = match filter.service.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|_| Failure::not_found("service"))?),
    };
    let operation = ListJobs { service, after: filter.after, limit: ROWS, ..ListJobs::default() };
    let page = person.client.call(operation).await?;
    let instances = page.items.iter().map(|job| (job.account, job.instance)).collect();
    let names = Names::of(&person, BTreeSet::new(), instances).await;
    let path = match filter.service.as_str() {
        "" => "/operate/work".to_owned(),
        service => paths::with_query("/operate/work", &[("service", service)]),
    };
    let body = html! {
        header.title {
            h1 { "Jobs" } @if !filter.service.is_empty() { p.lead { "of " (filter.service) } }
        }
        @if page.items.is_empty() {
            (layout::nothing("No job was ever queued here."))
        } @else {
            (table(&page.items, &names))
        }
        @if let Some(next) = &page.next {
            p.more { a.button.quiet href=(next_page(&path, next)) { "Show more" } }
        }
    };
    Ok(Page::new("Jobs", body))
}

fn next_page(path: &str, next: &str) -> String {
    let after = paths::with_query("", &[("after", next)]);
    if path.contains('?') { format!("{path}&{}", &after[1..]) } else { format!("{path}{after}") }
}

fn table(jobs: &[Job], names: &Names) -> Markup {
    html! {
        div.wide tabindex="0" { table {
            thead {
                tr {
                    th { "Queued" } th { "Job" } th { "Service" } th { "Instance" } th { "State" }
                    th.number { "Tries" }
                }
            }
            tbody { @for job in jobs { tr {
                td { (words::moment(job.created)) }
                td { a href={ "/operate/work/" (job.job) } { (job.name) } }
                td { (job.service) }
                td { (names.instance(job.account, job.instance)) }
                td { (states::chip(&job.state)) }
                td.number { (job.attempts) }
            } } }
        } }
    }
}

pub(crate) async fn show(person: Person, Path(job): Path<JobId>) -> Shown {
    let job = person.client.call(GetJob { job }).await?;
    let instances = BTreeSet::from([(job.account, job.instance)]);
    let (names, nodes) = tokio::join!(
        Names::of(&person, BTreeSet::new(), instances),
        person.client.call(ListNodes { after: None, limit: ALL }),
    );
    let names = names.and_nodes(nodes.iter().flat_map(|page| &page.items));
    let content = html! {
        (layout::back("/operate/work", "Jobs"))
        header.title {
            div.heading { h1 { (job.name) } (states::chip(&job.state)) }
            p.lead {
                (job.service)
                @if let Some(release) = &job.release { ", release " code { (release.short()) } }
            }
        }
        dl.facts {
            dt { "Queued" } dd { (words::moment(job.created)) }
            @if let Some(started) = job.started {
                dt { "Begun" } dd { (words::moment(started)) (took(&job)) }
            }
            @if let Some(ended) = job.ended { dt { "Ended" } dd { (words::moment(ended)) } }
            @if let Some(node) = job.node { dt { "Node" } dd { (names.node(node)) } }
            dt { "Instance" }
            dd { (names.instance(job.account, job.instance)) }
            dt { "Id" } dd { code.small { (job.job) } }
        }
        section.card { h2 { "What it printed" } (words::printed(&job.output, None)) }
    };
    let path = format!("/operate/work/{}", job.job);
    let body = layout::live(&path, is_going(&job), content);
    Ok(Page::new(format!("Job {}", job.name), body).going(is_going(&job)))
}
