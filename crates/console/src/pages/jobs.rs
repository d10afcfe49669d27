//! All jobs, for who runs the platform; and what lists of jobs have in common.

use api::jobs::{Job, JobState, ListJobs};
use axum::extract::Query;
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    answer::{Failure, Page, Shown},
    layout,
    names::{Ids, Names},
    paging::ROWS,
    paths, states,
    visitor::Person,
    words,
};

const PATH: &str = "/operate/work";
/// What one looks for.
const STATES: [JobState; 11] = [
    JobState::Running,
    JobState::Failed,
    JobState::Stranded,
    JobState::Ready,
    JobState::Delayed,
    JobState::Blocked,
    JobState::Held,
    JobState::Succeeded,
    JobState::Cancelled,
    JobState::Dropped,
    JobState::SetAside,
];

/// Which jobs are to be seen.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filter {
    #[serde(default)]
    pub(crate) service: String,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) after: Option<String>,
}

impl Filter {
    /// The state that is asked for, if one is.
    pub(crate) fn state(&self) -> Result<Option<JobState>, Failure> {
        let known = || STATES.into_iter().find(|state| states::key(*state) == self.state);
        match self.state.as_str() {
            "" => Ok(None),
            _ => known().map(Some).ok_or_else(|| Failure::not_found("state of jobs")),
        }
    }

    /// The name that is asked for, if one is.
    pub(crate) fn name(&self) -> Option<String> {
        Some(self.name.trim()).filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// The same with another beginning, as an address below `path`.
    pub(crate) fn address(&self, path: &str, after: Option<&str>) -> String {
        let all = [
            ("service", self.service.as_str()),
            ("state", self.state.as_str()),
            ("name", self.name.as_str()),
            ("after", after.unwrap_or_default()),
        ];
        let said: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        paths::with_query(path, &said)
    }

    /// Asks for a state and a name, and with `service` for a service, too.
    pub(crate) fn form(&self, path: &str, with_service: bool) -> Markup {
        html! {
            form.filter method="get" action=(path) {
                @if with_service {
                    label.field { span { "Service" }
                        input name="service" value=(self.service) maxlength="63"
                            autocapitalize="none" spellcheck="false";
                    }
                }
                label.field { span { "Name" }
                    input name="name" value=(self.name) maxlength="100" autocapitalize="none"
                        spellcheck="false";
                }
                label.field { span { "State" }
                    select name="state" {
                        option value="" { "all" }
                        @for state in STATES {
                            @let key = states::key(state);
                            option value=(key) selected[key == self.state] {
                                (states::word(&state))
                            }
                        }
                    }
                }
                button.quiet { "Show" }
            }
        }
    }
}

pub(crate) async fn list(person: Person, Query(filter): Query<Filter>) -> Shown {
    let service = match filter.service.trim() {
        "" => None,
        name => Some(name.parse().map_err(|_| Failure::not_found("service"))?),
    };
    let (state, name) = (filter.state()?, filter.name());
    let operation = ListJobs { service, state, name, after: filter.after.clone(), limit: ROWS };
    let page = person.client.call(operation).await?;
    let names = names(&person, &page.items).await;
    let is_going = page.items.iter().any(is_going);
    let content = html! {
        @if page.items.is_empty() { (layout::nothing("No such job.")) }
        @else { (table(&page.items, &names)) }
    };
    let here = filter.address(PATH, filter.after.as_deref());
    let body = html! {
        header.title { h1 { "Jobs" } p.lead { "The newest first." } }
        (filter.form(PATH, true))
        (layout::live(&here, is_going, content))
        @if let Some(next) = &page.next {
            p.more { a.button.quiet href=(filter.address(PATH, Some(next))) { "Show more" } }
        }
    };
    Ok(Page::new("Jobs", body).going(is_going))
}

/// What people call what jobs name.
pub(crate) async fn names(person: &Person, jobs: &[Job]) -> Names {
    let mut ids = Ids::default();
    for job in jobs {
        ids.instances.insert(job.instance);
        ids.nodes.extend(job.node);
    }
    Names::of(person, ids).await
}

pub(crate) fn is_going(job: &Job) -> bool {
    !job.state.has_ended()
}

/// Jobs of whatever instances, each with a link to its page.
pub(crate) fn table(jobs: &[Job], names: &Names) -> Markup {
    html! {
        div.wide tabindex="0" { table {
            thead {
                tr {
                    th { "Job" } th { "State" } th { "Instance" } th { "Service" }
                    th { "Queued" } th.number { "Tries" }
                }
            }
            tbody { @for job in jobs { tr {
                td { a href={ (PATH) "/" (job.job) } { (job.name) } }
                td { (states::chip(&job.state)) " " (how_far(job)) }
                td { (names.instance(job.account, job.instance)) }
                td { (job.service) }
                td { (words::moment(job.created)) }
                td.number { (job.attempts) }
            } } }
        } }
    }
}

/// How far a job that runs says it is.
pub(crate) fn how_far(job: &Job) -> Markup {
    let progress = job.progress.as_ref().filter(|_| job.state == JobState::Running);
    html! {
        @if let Some(progress) = progress { span.far {
            @if let Some(percent) = progress.percent {
                progress max="100" value=(percent) aria-label={ "How far " (job.name) " is" } {}
                span.small { (percent) " % " }
            }
            @if let Some(note) = &progress.note { span.soft.small { (note) } }
        } }
    }
}

/// How long its last attempt took, and how often it was tried.
pub(crate) fn took(job: &Job) -> Markup {
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
