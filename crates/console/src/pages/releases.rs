//! The published services and their releases, and how far each node is with them.

use api::{
    Problem,
    releases::{
        ListNodes, ListReleases, ListRollouts, ListServices, Node, Release, ReleasePhase,
        ReleaseReport, ReleaseState, Rollout, ServiceSummary,
    },
};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::Name;

use crate::{
    answer::{Page, Shown},
    failure, layout,
    names::{Ids, Names},
    paging::{ALL, Paging, ROWS},
    states,
    visitor::Person,
    words,
};

/// So many of the last rollouts are shown.
const ROLLOUTS: Option<u32> = Some(5);

pub(crate) async fn services(person: Person, Query(Paging { after }): Query<Paging>) -> Shown {
    let page = person.client.call(ListServices { after, limit: ROWS }).await?;
    let body = html! {
        header.title { h1 { "Services" } }
        @if page.items.is_empty() {
            (layout::nothing("Nothing is published yet. `mandate service publish` does it."))
        } @else {
            div.wide tabindex="0" { table {
                thead {
                    tr {
                        th { "Service" } th { "Release that runs" } th.number { "Nodes ready" }
                        th.number { "Healthy replicas" }
                    }
                }
                tbody { @for service in &page.items { (row(service)) } }
            } }
        }
        (layout::more("/operate/services", page.next.as_deref()))
    };
    Ok(Page::new("Services", body))
}

fn row(service: &ServiceSummary) -> Markup {
    html! {
        tr {
            td {
                a href={ "/operate/services/" (service.service) } { (service.title) } " "
                span.soft { (service.service) }
            }
            td { code title=(service.release) { (service.release.short()) } }
            td.number { (service.nodes_ready) }
            td.number { (service.replicas_healthy) }
        }
    }
}

pub(crate) async fn show(
    person: Person,
    Path(service): Path<Name>,
    Query(Paging { after }): Query<Paging>,
) -> Shown {
    let (page, nodes, rollouts) = tokio::join!(
        person.client.call(ListReleases { service: service.clone(), after, limit: ROWS }),
        person.client.call(ListNodes { after: None, limit: ALL }),
        person.client.call(ListRollouts { service: service.clone(), after: None, limit: ROLLOUTS }),
    );
    let page = page?;
    let nodes = nodes.map(|page| page.items);
    let rollouts = rollouts.map(|page| page.items);
    let known = rollouts.as_deref().unwrap_or_default();
    let is_going = is_going(&page.items, nodes.as_deref().unwrap_or_default(), &service)
        || known.iter().any(|rollout| !rollout.state.has_ended());
    let mut ids = Ids::default();
    known.iter().filter_map(|rollout| rollout.by.as_ref()).for_each(|by| ids.principal(by));
    let names = Names::of(&person, ids).await;
    let path = format!("/operate/services/{service}");
    let current = page.items.iter().position(|release| release.current);
    let content = html! {
        (layout::back("/operate/services", "Services"))
        header.title { h1 { (service) } p.lead { "Its releases, the newest first." } }
        @match &rollouts {
            Err(problem) => (failure::missing_part(problem)),
            Ok(rollouts) => (rollouts_card(rollouts, &names)),
        }
        @if page.items.is_empty() { (layout::nothing("It has no release.")) }
        @for (place, release) in page.items.iter().enumerate() {
            (release_card(release, current.is_some_and(|current| place > current), &nodes))
        }
        (layout::more(&path, page.next.as_deref()))
    };
    Ok(Page::new(service.to_string(), layout::live(&path, is_going, content)).going(is_going))
}

/// The last rollouts: how far each is, and who began it.
fn rollouts_card(rollouts: &[Rollout], names: &Names) -> Markup {
    html! {
        @if !rollouts.is_empty() {
            section.card {
                h2 { "Rollouts" }
                div.wide tabindex="0" { table {
                    thead {
                        tr {
                            th { "To" } th { "State" } th.number { "Left to move" }
                            th { "Begun" } th { "By" }
                        }
                    }
                    tbody { @for rollout in rollouts { (rollout_row(rollout, names)) } }
                } }
            }
        }
    }
}

fn rollout_row(rollout: &Rollout, names: &Names) -> Markup {
    html! {
        tr {
            td { code title=(rollout.to) { (rollout.to.short()) } }
            td {
                (states::chip(&rollout.state))
                @if let Some(problem) = &rollout.problem { p.soft.small { (words::sentence(problem)) } }
            }
            td.number { @if rollout.counts.left() > 0 { (rollout.counts.left()) } }
            td { (words::moment(rollout.begun)) }
            td {
                @match &rollout.by {
                    Some(by) => (names.principal(by)),
                    None => span.soft { "its publication" },
                }
            }
        }
    }
}

fn is_going(releases: &[Release], nodes: &[Node], service: &Name) -> bool {
    let under_way = |state| matches!(state, ReleaseState::Fetching | ReleaseState::Building);
    let reports = nodes.iter().filter(|node| node.alive).flat_map(|node| &node.releases);
    let mut of_service = reports.filter(|report| report.service == *service);
    releases.iter().any(|release| release.phase == ReleasePhase::Announcing)
        || of_service.any(|report| under_way(report.state))
}

/// A former release was published before the current one.
fn release_card(release: &Release, is_former: bool, nodes: &Result<Vec<Node>, Problem>) -> Markup {
    html! {
        section.card {
            h2.heading {
                code title=(release.digest) { (release.digest.short()) }
                @match release.phase {
                    _ if release.current => span.chip.good { "current" },
                    ReleasePhase::Staged if is_former => span.chip { "former" },
                    phase => (states::chip(&phase)),
                }
                @if release.does_old_jobs { span.chip { "does old jobs" } }
                @if release.collected { span.chip { "collected" } }
            }
            p.soft.small {
                "published " (words::moment(release.created)) ", signed with "
                code title=(release.public_key) {
                    (release.public_key.chars().take(16).collect::<String>()) "…"
                }
                @if let Some(source) = &release.source { ", from " code { (source) } }
            }
            @if let Some(problem) = &release.problem {
                div.notice.bad { p { (words::sentence(problem)) } }
            }
            @match nodes {
                _ if release.phase == ReleasePhase::Failed => {},
                Err(problem) => (failure::missing_part(problem)),
                Ok(nodes) => (by_node(release, nodes)),
            }
        }
    }
}

fn by_node(release: &Release, nodes: &[Node]) -> Markup {
    let reports: Vec<_> = nodes
        .iter()
        .flat_map(|node| node.releases.iter().map(move |report| (node, report)))
        .filter(|(_, report)| report.digest == release.digest)
        .collect();
    html! {
        @if reports.is_empty() { p.soft { "No node has it." } }
        div.jobs { @for (node, report) in reports { (report_row(node.name.as_str(), report)) } }
    }
}

/// How far a node is with a release, with the log under it; `title` says which.
pub(crate) fn report_row(title: &str, report: &ReleaseReport) -> Markup {
    html! {
        details id={ (title) "-" (report.digest.short()) }
            open[report.state == ReleaseState::Failed] {
            summary { span { (title) } (states::chip(&report.state)) }
            (words::printed(&report.log, None))
        }
    }
}
