//! The published services and their releases, and how far each node is with them.

use api::{
    Problem,
    releases::{
        ListNodes, ListReleases, ListRollouts, ListServices, Node, Preview, PreviewRelease,
        Release, ReleasePhase, ReleaseReport, ReleaseState, ServiceSummary,
    },
};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::Name;

use crate::{
    answer::{Page, Shown},
    failure, layout,
    names::Names,
    pages::{previews, rollouts},
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
    let known = rollouts.as_ref().map_or(&[][..], |page| &page.items);
    let is_going = is_going(&page.items, nodes.as_deref().unwrap_or_default(), &service)
        || known.iter().any(|rollout| !rollout.state.has_ended());
    let current = page.items.iter().position(|release| release.current);
    // Nothing can be promoted while anything is under way.
    let next = if is_going { None } else { next(&page.items, current) };
    let preview = preview(&person, &service, next).await;
    let mut ids = rollouts::ids(known);
    page.items.iter().filter_map(|it| it.published_by.as_ref()).for_each(|by| ids.principal(by));
    if let Some((_, Ok(preview))) = &preview {
        previews::collect(preview, &mut ids);
    }
    let names = Names::of(&person, ids).await;
    let path = format!("/operate/services/{service}");
    let content = html! {
        (layout::back("/operate/services", "Services"))
        header.title { h1 { (service) } p.lead { "Its releases, the newest first." } }
        @match &rollouts {
            Err(problem) => (failure::missing_part(problem)),
            Ok(rollouts) => (rollouts::card(&service, rollouts, &names)),
        }
        @if page.items.is_empty() { (layout::nothing("It has no release.")) }
        @for (place, release) in page.items.iter().enumerate() {
            @let is_former = current.is_some_and(|current| place > current);
            section.card {
                (heading(release, is_former))
                (origin(release, &names))
                (by_node(release, &nodes))
                @match &preview {
                    Some((next, preview)) if *next == place => (changes(preview, &names)),
                    _ => (way_to_preview(release, &path)),
                }
            }
        }
        (layout::more(&path, page.next.as_deref()))
    };
    Ok(Page::new(service.to_string(), layout::live(&path, is_going, content)).going(is_going))
}

/// The place of the release that would be promoted next: the one that was staged last.
fn next(releases: &[Release], current: Option<usize>) -> Option<(usize, &Release)> {
    let newer = releases.get(..current?)?;
    newer.iter().enumerate().find(|(_, release)| can_be_promoted(release))
}

fn can_be_promoted(release: &Release) -> bool {
    release.phase == ReleasePhase::Staged && !release.current && !release.collected
}

async fn preview(
    person: &Person,
    service: &Name,
    next: Option<(usize, &Release)>,
) -> Option<(usize, Result<Preview, Problem>)> {
    let (place, next) = next?;
    let look = PreviewRelease { service: service.clone(), release: next.digest.clone() };
    Some((place, person.client.call(look).await))
}

/// What the next promotion changes.
fn changes(preview: &Result<Preview, Problem>, names: &Names) -> Markup {
    html! {
        h3 { "What its promotion changes" }
        @match preview {
            Err(problem) => (failure::missing_part(problem)),
            Ok(preview) => { (previews::shown(preview, names)) (previews::how_to_promote(preview)) }
        }
    }
}

fn way_to_preview(release: &Release, path: &str) -> Markup {
    html! {
        @if can_be_promoted(release) {
            p { a href={ (path) "/releases/" (release.digest) } { "What its promotion would change" } }
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
fn heading(release: &Release, is_former: bool) -> Markup {
    html! {
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
    }
}

fn origin(release: &Release, names: &Names) -> Markup {
    html! {
        p.soft.small {
            "published " (words::moment(release.created))
            @if let Some(by) = &release.published_by { " by " (names.principal(by)) }
            ", signed with "
            code title=(release.public_key) {
                (release.public_key.chars().take(16).collect::<String>()) "…"
            }
            @if let Some(source) = &release.source { ", from " code { (source) } }
        }
        @if let Some(problem) = &release.problem {
            div.notice.bad { p { (words::sentence(problem)) } }
        }
    }
}

fn by_node(release: &Release, nodes: &Result<Vec<Node>, Problem>) -> Markup {
    let nodes = match nodes {
        _ if release.phase == ReleasePhase::Failed => return html! {},
        Err(problem) => return failure::missing_part(problem),
        Ok(nodes) => nodes,
    };
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
