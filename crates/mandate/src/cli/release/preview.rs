//! What a promotion would change, in words; and a rollout as it is remembered.

use api::{
    billing::Forecast,
    releases::{
        self, Accepted, Change, Concerned, DatabaseChange, Did, GetRollout, JobChange, Passage,
        PermissionChange, Preview, PreviewRelease, Reach, RolloutRecord,
    },
};
use types::{Host, Name, Resource};

use super::{
    super::{
        Failure, Outcome,
        context::Context,
        names::{Ids, Names},
        output::{Table, day, moment, names, word},
        status,
    },
    standing::sentence,
};

/// Prints what the promotion of a release would change, and fails if something would be lost.
pub(super) async fn check(cx: &Context, release: &releases::Release) -> Outcome {
    let (service, digest) = (release.service.clone(), release.digest.clone());
    let preview = cx.ask(PreviewRelease { service, release: digest }).await?;
    let called = cx.names(ids(&preview)).await;
    cx.show(&preview, |preview| {
        let (text, losses) = (text(preview, &called), preview.losses());
        if losses.is_empty() {
            return format!("{text}\n\nNothing is lost.");
        }
        format!("{text}\n\n{}\n\n`--accept-loss` agrees to that.", lost(&losses))
    })?;
    if preview.losses().is_empty() { Ok(()) } else { Err(Failure::silent(status::LOSES)) }
}

/// Prints a rollout with what was agreed to and who did what.
pub(super) async fn record(cx: &Context, service: Name, number: u64) -> Outcome {
    let record = cx.ask(GetRollout { service, number }).await?;
    let mut wanted = record.preview.as_ref().map(ids).unwrap_or_default();
    record.rollout.by.iter().for_each(|by| wanted.principal(by));
    record.acts.iter().for_each(|act| wanted.principal(&act.by));
    let called = cx.names(wanted).await;
    cx.show(&record, |record| recorded(record, &called))
}

fn recorded(record: &RolloutRecord, called: &Names) -> String {
    let mut parts = vec![sentence(&record.rollout, called)];
    if !record.acts.is_empty() {
        parts.push(Table::of(&["WHEN", "WHO", "DID"], &record.acts, |table, act| {
            let did = match act.did {
                Did::RolledBack => "promoted the release before it".to_owned(),
                did => format!("{} it", word(&did)),
            };
            table.row([&moment(act.at), &called.principal(&act.by), &did]);
        }));
    }
    if let Some(preview) = &record.preview {
        parts.push(format!("As it was agreed:\n\n{}", text(preview, called)));
        let losses = preview.losses();
        if !losses.is_empty() {
            parts.push(lost(&losses));
        }
        if record.accepted_loss {
            parts.push("That something is lost was agreed to.".to_owned());
        } else if record.is_way_back {
            parts.push("It is the way back, for which nobody has to agree.".to_owned());
        }
    }
    parts.join("\n\n")
}

fn lost(losses: &[String]) -> String {
    let lines: Vec<String> = losses.iter().map(|loss| format!("  {loss}")).collect();
    format!("Something is lost:\n{}", lines.join("\n"))
}

/// Whoever and whatever a preview names.
fn ids(preview: &Preview) -> Ids {
    let mut ids = Ids::default();
    for grant in preview.permissions.iter().flat_map(|change| &change.first) {
        ids.principal(&grant.principal);
        ids.resource(&grant.on);
    }
    ids
}

fn text(preview: &Preview, called: &Names) -> String {
    let (to, from) = (preview.to.short(), preview.from.short());
    let has = some(preview.instances, "instance");
    let mut head = format!("Release {to} of {} in place of {from}, for {has}", preview.service);
    head = match preview.elsewhere {
        0 => format!("{head}."),
        1 => format!("{head}. 1 of them is on another release, and more may change for it."),
        count => {
            format!("{head}. {count} of them are on other releases, and more may change for them.")
        }
    };
    if preview.is_empty() {
        return format!("{head}\n\nNothing changes but the code.");
    }
    let parts = [
        Some(head),
        preview.database.as_ref().map(database),
        modules(preview),
        permissions(&preview.permissions, called),
        jobs(&preview.jobs),
        routes(preview),
        meters(preview),
        preview.bills.as_ref().map(bills),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn some(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn comes_or_goes(change: Change) -> &'static str {
    match change {
        Change::Added => "comes",
        Change::Dropped => "goes",
        Change::Changed => "changes",
    }
}

/// So many hosts are on a line.
const HOSTS_MAX: usize = 10;

fn concerned(concerned: &Concerned) -> String {
    let hosts: Vec<&str> = concerned.hosts.iter().take(HOSTS_MAX).map(Host::as_str).collect();
    let more = concerned.count.saturating_sub(hosts.len() as u64);
    match (concerned.count, more) {
        (0, _) => "none".to_owned(),
        (count, 0) => format!("{count}: {}", hosts.join(", ")),
        (count, more) => format!("{count}: {} and {more} more", hosts.join(", ")),
    }
}

fn database(change: &DatabaseChange) -> String {
    let DatabaseChange { before, after, .. } = change;
    let what = match change.change {
        Change::Added => "The release has a database, and the current one has none.".to_owned(),
        Change::Dropped => "The release has no database, and the current one has one.".to_owned(),
        Change::Changed if before == after => {
            format!("The shape of the database stays {after}, and not every instance has it.")
        }
        Change::Changed => format!("The database has another shape: {before} becomes {after}."),
    };
    let mut lines = vec![what];
    if change.migrated.count > 0 {
        let how = if change.compatible {
            "nobody is kept out meanwhile"
        } else {
            "requests wait meanwhile, and there is no way back from it"
        };
        lines.push(format!("Migrated when they move, and {how}: {}", concerned(&change.migrated)));
    }
    if change.stay.count > 0 {
        let stay = concerned(&change.stay);
        lines.push(format!("Cannot move, since their shape is a later one: {stay}"));
    }
    lines.join("\n")
}

fn modules(preview: &Preview) -> Option<String> {
    let headings = ["MODULE", "", "TITLE", "INSTANCES THAT HAVE IT"];
    (!preview.modules.is_empty()).then(|| {
        Table::of(&headings, &preview.modules, |table, it| {
            let instances = concerned(&it.instances);
            table.row([&it.module, &comes_or_goes(it.change), &it.title, &instances]);
        })
    })
}

fn permissions(changes: &[PermissionChange], called: &Names) -> Option<String> {
    let whom = |change: &PermissionChange| {
        let grants = change.first.iter().map(|grant| {
            let on = match &grant.on {
                Resource::Account(account) => called.account(*account),
                on => called.resource(on),
            };
            format!("{} on {on}", called.principal(&grant.principal))
        });
        let named: Vec<String> = grants.take(HOSTS_MAX).collect();
        let more = change.grants.saturating_sub(named.len() as u64);
        match (change.grants, more) {
            (0, _) => "none".to_owned(),
            (count, 0) => format!("{count}: {}", named.join(", ")),
            (count, more) => format!("{count}: {} and {more} more", named.join(", ")),
        }
    };
    (!changes.is_empty()).then(|| {
        Table::of(&["PERMISSION", "", "TITLE", "GRANTS THAT NAME IT"], changes, |table, it| {
            table.row([&it.permission, &comes_or_goes(it.change), &it.title, &whom(it)]);
        })
    })
}

fn jobs(changes: &[JobChange]) -> Option<String> {
    let versions = |of: Option<Accepted>| match of {
        None => "–".to_owned(),
        Some(Accepted { version, oldest, newest }) if oldest == newest => version.to_string(),
        Some(Accepted { version, oldest, newest }) => format!("{version}, does {oldest}-{newest}"),
    };
    let waiting = |change: &JobChange| {
        let each = change.waiting.iter().map(|it| {
            let of = some(it.instances, "instance");
            let fate = if it.accepted { "accepted" } else { "for a release before it" };
            format!("{} of version {}, of {of}: {fate}", it.jobs, it.version)
        });
        names(each)
    };
    (!changes.is_empty()).then(|| {
        Table::of(&["JOB", "", "VERSION", "WILL BE", "WAITING"], changes, |table, it| {
            let (before, after) = (versions(it.before), versions(it.after));
            table.row([&it.job, &comes_or_goes(it.change), &before, &after, &waiting(it)]);
        })
    })
}

fn routes(preview: &Preview) -> Option<String> {
    let needs = |reach: &Reach| {
        if reach.refused {
            return "nobody".to_owned();
        }
        let modules = reach.modules.iter().map(|module| format!("module {module}"));
        let needs: Vec<String> =
            reach.permissions.iter().map(ToString::to_string).chain(modules).collect();
        if needs.is_empty() { "everybody".to_owned() } else { format!("with {}", needs.join(", ")) }
    };
    if preview.routes.is_empty() {
        return None;
    }
    let headings = ["REQUESTS", "", "WHO MAY", "WILL"];
    let table = Table::of(&headings, &preview.routes, |table, it| {
        let passage = match it.passage {
            Passage::Opens => "opens",
            Passage::Closes => "closes",
            Passage::Changes => "changes",
        };
        table.row([&it.requests, &passage, &needs(&it.before), &needs(&it.after)]);
    });
    Some(match preview.more_routes {
        0 => table,
        more => format!("{table}\nand {more} more"),
    })
}

fn meters(preview: &Preview) -> Option<String> {
    (!preview.meters.is_empty()).then(|| {
        Table::of(&["METER", "", "TITLE"], &preview.meters, |table, it| {
            table.row([&it.meter, &comes_or_goes(it.change), &it.title]);
        })
    })
}

fn bills(forecast: &Forecast) -> String {
    let headings = ["PLAN", "SIZE", "MODULES", ">INSTANCES", ">A MONTH", ">WILL BE"];
    let table = Table::of(&headings, &forecast.changes, |table, it| {
        let modules = names(&it.modules);
        table.row([&it.plan, &it.size, &modules, &it.instances, &it.before, &it.after]);
    });
    let month = day(forecast.month.starts()).chars().take(7).collect::<String>();
    let from = forecast.effective.map(moment);
    let from = from.map_or_else(String::new, |from| format!("; the new prices hold from {from}"));
    let more = match forecast.more {
        0 => String::new(),
        more => format!("\nand {more} more"),
    };
    format!("{table}{more}\nUsage aside, in {month}{from}.")
}
