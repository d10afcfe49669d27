//! The jobs of an instance, and when it does which by itself.

use api::{
    Problem,
    jobs::{Job, ListInstanceJobs},
    manifest::{JobCommand, Manifest},
};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::{AccountId, InstanceId, Page as Items, Timestamp};

use crate::{
    answer::{Failure, Page, Shown},
    layout,
    names::{Ids, Names},
    pages::jobs::{self, Filter},
    paging::ROWS,
    paths, states,
    visitor::Person,
    words,
};

/// So many of the newest stand on the instance's own page.
const NEWEST: Option<u32> = Some(10);

pub(crate) async fn list(
    person: Person,
    Path((account, instance)): Path<(AccountId, InstanceId)>,
    Query(filter): Query<Filter>,
) -> Shown {
    let instances = [instance].into();
    let (page, names) = tokio::join!(
        asked(&person, account, instance, &filter, ROWS),
        Names::of(&person, Ids { instances, ..Ids::default() }),
    );
    let page = page?;
    let is_going = page.items.iter().any(jobs::is_going);
    let path = format!("{}/jobs", paths::instance(account, instance));
    let here = filter.address(&path, filter.after.as_deref());
    let body = html! {
        (layout::back(&paths::instance(account, instance), "The instance"))
        header.title { h1 { "Jobs" } p.lead { "of " (names.instance(account, instance)) } }
        (filter.form(&path, false))
        (layout::live(&here, is_going, html! { section.card { (rows(&page.items)) } }))
        @if let Some(next) = &page.next {
            p.more { a.button.quiet href=(filter.address(&path, Some(next))) { "Show more" } }
        }
    };
    Ok(Page::new("Jobs", body).going(is_going))
}

async fn asked(
    person: &Person,
    account: AccountId,
    instance: InstanceId,
    filter: &Filter,
    limit: Option<u32>,
) -> Result<Items<Job>, Failure> {
    let (state, name, after) = (filter.state()?, filter.name(), filter.after.clone());
    let operation = ListInstanceJobs { account, instance, state, name, after, limit };
    Ok(person.client.call(operation).await?)
}

/// The newest jobs of an instance, as a part of its page.
pub(crate) async fn section(
    person: &Person,
    account: AccountId,
    instance: InstanceId,
) -> Result<Markup, Problem> {
    let page = asked(person, account, instance, &Filter::default(), NEWEST).await;
    let page = page.map_err(|failure| failure.problem)?;
    let is_going = page.items.iter().any(jobs::is_going);
    let path = format!("{}/jobs", paths::instance(account, instance));
    let newest = format!("{path}/newest");
    Ok(html! {
        (layout::live(&newest, is_going, rows(&page.items)))
        @if page.next.is_some() { p.soft { a href=(path) { "All jobs" } } }
    })
}

/// What the instance's page asks for again and again while one of its jobs is under way.
pub(crate) async fn newest(
    person: Person,
    Path((account, instance)): Path<(AccountId, InstanceId)>,
) -> Shown {
    Ok(Page::new("Jobs", section(&person, account, instance).await?))
}

fn rows(jobs: &[Job]) -> Markup {
    html! {
        @if jobs.is_empty() { p.soft { "None." } }
        div.jobs { @for job in jobs { (row(job)) } }
    }
}

fn row(job: &Job) -> Markup {
    let path = format!("{}/jobs/{}", paths::instance(job.account, job.instance), job.job);
    html! {
        details id=(job.job) {
            summary {
                code { (job.name) } (states::chip(&job.state)) (jobs::how_far(job))
                span.soft.small.end {
                    (words::moment(job.started.unwrap_or(job.created))) (jobs::took(job))
                }
            }
            @if let Some(problem) = &job.problem { p { (words::sentence(problem)) } }
            @if job.started.is_some() { (words::printed(&job.output, None)) }
            p { a href=(path) { "All about this job" } }
        }
    }
}

/// What an instance does by itself, and when next. `now` if it is open; else nothing runs.
pub(crate) fn schedules(manifest: &Manifest, now: Option<Timestamp>) -> Option<Markup> {
    let scheduled = |job: &JobCommand| job.schedule.is_some();
    let all: Vec<_> = manifest.jobs.iter().filter(|(_, job)| scheduled(job)).collect();
    (!all.is_empty()).then(|| {
        html! {
            dl.facts { @for (name, job) in all {
                dt { code { (name) } }
                dd { (when(job, now)) }
            } }
        }
    })
}

fn when(job: &JobCommand, now: Option<Timestamp>) -> Markup {
    let Some(cron) = &job.schedule else { return html! {} };
    let next = now.and_then(|now| cron.next(&job.time_zone, now));
    let zone = Some(job.time_zone.to_string()).filter(|zone| zone != "UTC");
    let spread = words::time(job.spread_seconds.into());
    html! {
        @match next {
            Some(next) => { "next on " (words::moment(next)) },
            None => "not while the instance is closed",
        }
        @if job.spread_seconds > 0 { ", or up to " (spread) " later" }
        div.small { code { (cron) } @if let Some(zone) = zone { " by the clocks of " (zone) } }
    }
}
