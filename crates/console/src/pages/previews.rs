//! What the promotion of a release changes and for whom: before it, and as it was agreed to.

use api::{
    billing::Forecast,
    releases::{
        Accepted, Change, Concerned, DatabaseChange, JobChange, MeterChange, PermissionChange,
        Preview, PreviewRelease, Reach, RouteChange,
    },
};
use axum::extract::Path;
use maud::{Markup, html};
use types::{Digest, Host, Name, Resource};

use crate::{
    answer::{Page, Shown},
    layout,
    names::{Ids, Names},
    states,
    visitor::Person,
    words,
};

/// So many hosts, or grants, are named.
const NAMED_MAX: usize = 10;

pub(crate) async fn show(person: Person, Path((service, release)): Path<(Name, Digest)>) -> Shown {
    let look = PreviewRelease { service: service.clone(), release: release.clone() };
    let preview = person.client.call(look).await?;
    let mut ids = Ids::default();
    collect(&preview, &mut ids);
    let names = Names::of(&person, ids).await;
    let path = format!("/operate/services/{service}");
    let body = html! {
        (layout::back(&path, service.as_str()))
        header.title {
            h1 { "What changes with " code title=(release) { (release.short()) } }
            p.lead { "Of " (service) ", if it is promoted now." }
        }
        section.card { (shown(&preview, &names)) (how_to_promote(&preview)) }
    };
    Ok(Page::new(format!("What changes with {}", release.short()), body))
}

/// Whoever and whatever a preview names.
pub(crate) fn collect(preview: &Preview, ids: &mut Ids) {
    for grant in preview.permissions.iter().flat_map(|change| &change.first) {
        ids.principal(&grant.principal);
        ids.resource(&grant.on);
        if let Resource::Account(account) = &grant.on {
            ids.accounts.insert(*account);
        }
    }
}

/// The console asks for no consent: whoever promotes says where to go on, and how.
pub(crate) fn how_to_promote(preview: &Preview) -> Markup {
    let accept = if preview.losses().is_empty() { "" } else { " --accept-loss" };
    html! {
        p.soft.small {
            code { "mandate release promote " (preview.service) " " (preview.to.short()) (accept) }
            " promotes it."
        }
    }
}

pub(crate) fn shown(preview: &Preview, names: &Names) -> Markup {
    let losses = preview.losses();
    html! {
        p {
            "In place of " code title=(preview.from) { (preview.from.short()) } ", for "
            (words::counted(preview.instances, "instance")) "."
            @match preview.elsewhere {
                0 => {},
                1 => " 1 of them is on another release, and more may change for it.",
                count => {
                    " " (words::number(count))
                    " of them are on other releases, and more may change for them."
                }
            }
            @if preview.is_empty() { " Nothing changes but the code." }
            @else if losses.is_empty() { " Nothing is lost." }
        }
        @if !losses.is_empty() {
            div.notice.bad {
                p { strong { "Something is lost." } }
                ul { @for loss in &losses { li { (words::sentence(loss)) } } }
            }
        }
        @if let Some(change) = &preview.database { (database(change)) }
        (modules(preview))
        (permissions(&preview.permissions, names))
        (jobs(&preview.jobs))
        (routes(preview))
        (meters(preview))
        @if let Some(forecast) = &preview.bills { (bills(forecast)) }
    }
}

/// A table with a title; columns whose title begins with `>` have numbers.
fn table(title: &str, heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    let number = |place: usize| heads[place].starts_with('>').then_some("number");
    html! {
        @if !rows.is_empty() {
            h3 { (title) }
            div.wide tabindex="0" { table.small.said {
                thead { tr { @for (place, head) in heads.iter().enumerate() {
                    th class=[number(place)] { (head.trim_start_matches('>')) }
                } } }
                tbody { @for row in rows { tr { @for (place, cell) in row.iter().enumerate() {
                    td class=[number(place)] { (cell) }
                } } } }
            } }
        }
    }
}

/// What people call it, and what programs do.
fn called(title: &str, name: &str) -> Markup {
    html! { (title) " " code.soft { (name) } }
}

fn concerned(concerned: &Concerned) -> Markup {
    let hosts: Vec<&str> = concerned.hosts.iter().take(NAMED_MAX).map(Host::as_str).collect();
    let more = concerned.count.saturating_sub(hosts.len() as u64);
    html! {
        @match concerned.count {
            0 => span.soft { "none" },
            _ => { (hosts.join(", ")) (and_more(more)) }
        }
    }
}

fn and_more(more: u64) -> Markup {
    html! { @if more > 0 { " and " (words::number(more)) " more" } }
}

fn database(change: &DatabaseChange) -> Markup {
    let DatabaseChange { before, after, compatible, migrated, stay, .. } = change;
    html! {
        h3 { "Database" }
        p {
            @match change.change {
                Change::Added => "The release has a database, and the current one has none.",
                Change::Dropped => "The release has no database, and the current one has one.",
                Change::Changed if before == after => {
                    "Its shape stays " (after) ", and not every instance has it."
                }
                Change::Changed => { "It has another shape: " (before) " becomes " (after) "." }
            }
            @if migrated.count > 0 {
                " It is migrated when an instance moves"
                @if *compatible { ", and nobody is kept out meanwhile." }
                @else { "; requests wait meanwhile, and there is no way back from it." }
            }
        }
        dl.facts {
            @if migrated.count > 0 {
                dt { "Migrated" }
                dd { (words::counted(migrated.count, "instance")) ": " (concerned(migrated)) }
            }
            @if stay.count > 0 {
                dt { "Cannot move" }
                dd {
                    (words::counted(stay.count, "instance")) " whose shape is a later one: "
                    (concerned(stay))
                }
            }
        }
    }
}

fn modules(preview: &Preview) -> Markup {
    let rows = preview.modules.iter().map(|it| {
        vec![
            called(&it.title, &it.module),
            states::chip(&it.change),
            html! { (words::number(it.instances.count)) },
            concerned(&it.instances),
        ]
    });
    table("Modules", &["Module", "", ">Instances", "Which have it"], &rows.collect::<Vec<_>>())
}

fn permissions(changes: &[PermissionChange], names: &Names) -> Markup {
    let whom = |change: &PermissionChange| {
        let first: Vec<_> = change.first.iter().take(NAMED_MAX).collect();
        let more = change.grants.saturating_sub(first.len() as u64);
        html! {
            @if change.grants == 0 { span.soft { "none" } }
            @for (place, grant) in first.iter().enumerate() {
                @if place > 0 { ", " }
                (names.principal(&grant.principal)) " on "
                @match &grant.on {
                    Resource::Account(account) => (names.account(*account)),
                    on => (names.resource(on)),
                }
            }
            (and_more(more))
        }
    };
    let rows = changes.iter().map(|it| {
        let count = html! { (words::number(it.grants)) };
        vec![called(&it.title, it.permission.as_str()), states::chip(&it.change), count, whom(it)]
    });
    table("Permissions", &["Permission", "", ">Grants", "Which name it"], &rows.collect::<Vec<_>>())
}

fn jobs(changes: &[JobChange]) -> Markup {
    let versions = |of: Option<Accepted>| {
        html! {
            @match of {
                None => span.soft { "–" },
                Some(Accepted { version, oldest, newest }) => {
                    (version)
                    @if oldest != newest { span.soft { ", does " (oldest) " to " (newest) } }
                }
            }
        }
    };
    let waiting = |change: &JobChange| {
        html! {
            @if change.waiting.is_empty() { span.soft { "none" } }
            @for it in &change.waiting {
                div {
                    (words::number(it.jobs)) " of version " (it.version) ", of "
                    (words::counted(it.instances, "instance")) ": "
                    @if it.accepted { "accepted" } @else { "for a release before it" }
                }
            }
        }
    };
    let rows = changes.iter().map(|it| {
        let job = html! { code { (it.job) } };
        vec![job, states::chip(&it.change), versions(it.before), versions(it.after), waiting(it)]
    });
    table("Jobs", &["Job", "", "Version", "Will be", "Waiting"], &rows.collect::<Vec<_>>())
}

fn routes(preview: &Preview) -> Markup {
    let needs = |reach: &Reach| {
        html! {
            @if reach.refused { "nobody" }
            @else if reach.permissions.is_empty() && reach.modules.is_empty() { "everybody" }
            @else {
                "with "
                @for (place, permission) in reach.permissions.iter().enumerate() {
                    @if place > 0 { ", " }
                    code { (permission) }
                }
                @for (place, module) in reach.modules.iter().enumerate() {
                    @if place + reach.permissions.len() > 0 { ", " }
                    "the module " code { (module) }
                }
            }
        }
    };
    let row = |it: &RouteChange| {
        let requests = html! { code { (it.requests) } };
        vec![requests, states::chip(&it.passage), needs(&it.before), needs(&it.after)]
    };
    let rows: Vec<_> = preview.routes.iter().map(row).collect();
    html! {
        (table("Requests", &["Requests", "", "Who may", "Will"], &rows))
        @if preview.more_routes > 0 {
            p.soft.small { "And " (words::number(preview.more_routes)) " more." }
        }
    }
}

fn meters(preview: &Preview) -> Markup {
    let row = |it: &MeterChange| vec![called(&it.title, &it.meter), states::chip(&it.change)];
    table("Meters", &["Meter", ""], &preview.meters.iter().map(row).collect::<Vec<_>>())
}

fn bills(forecast: &Forecast) -> Markup {
    let rows = forecast.changes.iter().map(|it| {
        let modules: Vec<&str> = it.modules.iter().map(String::as_str).collect();
        let texts = [
            it.plan.clone(),
            it.size.clone(),
            words::listed(&modules),
            words::number(it.instances),
            words::money(it.before),
            words::money(it.after),
        ];
        texts.map(|text| html! { (text) }).to_vec()
    });
    let heads = ["Plan", "Size", "Modules", ">Instances", ">A month", ">Will be"];
    html! {
        (table("Bills", &heads, &rows.collect::<Vec<_>>()))
        p.soft.small {
            @if forecast.more > 0 { "And " (words::number(forecast.more)) " more. " }
            "Usage aside, in " (words::month(forecast.month.starts()))
            @if let Some(from) = forecast.effective {
                "; the new prices hold from " (words::moment(from)) " on"
            }
            "."
        }
    }
}
