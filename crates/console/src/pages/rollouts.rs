//! The rollouts of a service: how far each is, who did what to it when, and what was agreed to.

use api::releases::{Act, Did, GetRollout, ListRollouts, MoveCounts, Rollout, RolloutRecord};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::{Digest, Name};

use crate::{
    answer::{Page, Shown},
    layout,
    names::{Ids, Names},
    pages::previews,
    paging::{Paging, ROWS},
    states,
    visitor::Person,
    words,
};

fn path_of(service: &Name) -> String {
    format!("/operate/services/{service}/rollouts")
}

/// All of them, the last one first.
pub(crate) async fn list(
    person: Person,
    Path(service): Path<Name>,
    Query(Paging { after }): Query<Paging>,
) -> Shown {
    let look = ListRollouts { service: service.clone(), after, limit: ROWS };
    let page = person.client.call(look).await?;
    let names = Names::of(&person, ids(&page.items)).await;
    let body = html! {
        (layout::back(&format!("/operate/services/{service}"), service.as_str()))
        header.title { h1 { "Rollouts" } p.lead { "Of " (service) ", the last one first." } }
        @if page.items.is_empty() { (layout::nothing("There was none yet.")) }
        @else { (table(&page.items, &names)) }
        (layout::more(&path_of(&service), page.next.as_deref()))
    };
    Ok(Page::new(format!("Rollouts of {service}"), body))
}

/// Whoever began them.
pub(crate) fn ids(rollouts: &[Rollout]) -> Ids {
    let mut ids = Ids::default();
    rollouts.iter().filter_map(|rollout| rollout.by.as_ref()).for_each(|by| ids.principal(by));
    ids
}

/// The last ones, with the way to the others if there are more.
pub(crate) fn card(service: &Name, page: &types::Page<Rollout>, names: &Names) -> Markup {
    html! {
        @if !page.items.is_empty() {
            section.card {
                h2 { "Rollouts" }
                (table(&page.items, names))
                @if page.next.is_some() {
                    p.more { a.button.quiet href=(path_of(service)) { "Show all" } }
                }
            }
        }
    }
}

fn table(rollouts: &[Rollout], names: &Names) -> Markup {
    html! {
        div.wide tabindex="0" { table {
            thead {
                tr {
                    th.number { "Rollout" } th { "To" } th { "State" }
                    th.number { "Left to move" } th { "Begun" } th { "By" }
                }
            }
            tbody { @for rollout in rollouts { (row(rollout, names)) } }
        } }
    }
}

fn row(rollout: &Rollout, names: &Names) -> Markup {
    let page = format!("{}/{}", path_of(&rollout.service), rollout.number);
    html! {
        tr {
            td.number { a href=(page) { (rollout.number) } }
            td { (short(&rollout.to)) }
            td {
                (states::chip(&rollout.state))
                @if let Some(problem) = &rollout.problem { p.soft.small { (words::sentence(problem)) } }
            }
            td.number { @if rollout.counts.left() > 0 { (rollout.counts.left()) } }
            td { (words::moment(rollout.begun)) }
            td { (by(rollout, names)) }
        }
    }
}

fn short(release: &Digest) -> Markup {
    html! { code title=(release) { (release.short()) } }
}

fn by(rollout: &Rollout, names: &Names) -> Markup {
    html! {
        @match &rollout.by {
            Some(by) => (names.principal(by)),
            None => span.soft { "its publication" },
        }
    }
}

/// One of them, as it is remembered.
pub(crate) async fn show(person: Person, Path((service, number)): Path<(Name, u64)>) -> Shown {
    let record = person.client.call(GetRollout { service: service.clone(), number }).await?;
    let rollout = &record.rollout;
    let mut ids = ids(std::slice::from_ref(rollout));
    record.acts.iter().for_each(|act| ids.principal(&act.by));
    if let Some(preview) = &record.preview {
        previews::collect(preview, &mut ids);
    }
    let names = Names::of(&person, ids).await;
    let path = format!("{}/{number}", path_of(&service));
    let is_going = !rollout.state.has_ended();
    let content = html! {
        header.title {
            div.heading { h1 { "Rollout " (number) } (states::chip(&rollout.state)) }
            p.lead {
                "Of " (service) ", "
                @if let Some(from) = &rollout.from { "from " (short(from)) " " }
                "to " (short(&rollout.to)) ", begun " (words::moment(rollout.begun)) " by "
                (by(rollout, &names))
                @if let Some(ended) = rollout.ended { ", ended " (words::moment(ended)) }
            }
        }
        @if let Some(problem) = &rollout.problem {
            div.notice.bad { p { strong { (words::sentence(problem)) } } }
        }
        section.card { h2 { "Instances" } (counts(&rollout.counts)) }
        section.card #acts { h2 { "Who did what" } (acts(&record.acts, &names)) }
        section.card #agreed { h2 { "What was agreed to" } (agreed(&record, &names)) }
    };
    let body = html! {
        (layout::back(&format!("/operate/services/{service}"), service.as_str()))
        (layout::live(&path, is_going, content))
    };
    Ok(Page::new(format!("Rollout {number} of {service}"), body).going(is_going))
}

fn counts(counts: &MoveCounts) -> Markup {
    let MoveCounts { waiting, starting, moved, failed, excepted } = *counts;
    let all = [
        ("Have moved", moved),
        ("Are being moved", starting),
        ("Wait", waiting),
        ("Could not be moved", failed),
        ("Stay by the plan", excepted),
    ];
    let some: Vec<_> = all.into_iter().filter(|(_, count)| *count > 0).collect();
    html! {
        @if some.is_empty() { p.soft { "It is not kept any more how far each was, or there was none." } }
        @else {
            dl.facts { @for (what, count) in some { dt { (what) } dd { (words::number(count.into())) } } }
        }
    }
}

fn acts(acts: &[Act], names: &Names) -> Markup {
    let did = |did| match did {
        Did::Promoted => "promoted the release",
        Did::Paused => "paused it",
        Did::Resumed => "let it go on",
        Did::Cancelled => "gave it up",
        Did::RolledBack => "promoted the release before it again",
    };
    html! {
        @if acts.is_empty() { p.soft { "Nobody did anything to it: it began with its publication." } }
        @else {
            div.wide tabindex="0" { table.said {
                thead { tr { th { "When" } th { "Who" } th { "What" } } }
                tbody { @for act in acts { tr {
                    td { (words::moment(act.at)) }
                    td { (names.principal(&act.by)) }
                    td { (did(act.did)) }
                } } }
            } }
        }
    }
}

fn agreed(record: &RolloutRecord, names: &Names) -> Markup {
    let is_lost = record.preview.as_ref().is_some_and(|preview| !preview.losses().is_empty());
    html! {
        @match &record.preview {
            Some(preview) => (previews::shown(preview, names)),
            None if record.rollout.from.is_none() => p.soft {
                "It replaced no other release, so there was nothing to agree to."
            },
            None => p.soft { "It is not kept what it was to change." },
        }
        @if record.is_way_back {
            p { "It is the way back, for which nobody has to agree." }
        } @else if record.accepted_loss && is_lost {
            p { "That something is lost was agreed to." }
        }
    }
}
