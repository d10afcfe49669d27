//! What a promotion would change, for whom. What follows from the two manifests is compared here;
//! whom it concerns is known of instances by the configurator's feed, and asked of the others.

mod compare;

use std::collections::{BTreeMap, BTreeSet};

use api::{
    access::CountGrants,
    billing::ForecastBills,
    configurator::{InstanceState, Route},
    jobs::CountWaiting,
    manifest::Manifest,
    releases::{
        Change, Concerned, DatabaseChange, GRANTS_MAX, INSTANCES_MAX, JobChange, ModuleChange,
        PermissionChange, Preview, PreviewRelease, Waiting,
    },
};
use chassis::{Call, Room};
use types::{Digest, Name, Permission};

use crate::{
    Error, State,
    store::{self, Stored},
};

pub(crate) async fn preview_release(cx: Call<State>, op: PreviewRelease) -> Result<Preview, Error> {
    let to = store::release(cx.db(), &op.service, &op.release).await?.ok_or(Error::NoRelease)?;
    let current = store::current_of(cx.db(), &op.service).await?;
    let (current, _) = current.ok_or(Error::NoneIsCurrent)?;
    if current == op.release {
        return Err(Error::IsCurrent);
    }
    preview(&cx, &current, &to).await
}

/// What changes if a release is promoted in place of the current one.
pub(crate) async fn preview(
    room: &Room<State>,
    current: &Digest,
    to: &Stored,
) -> Result<Preview, Error> {
    let service = &to.release.service;
    let from = store::release(room.db(), service, current).await?.ok_or(Error::NoRelease)?;
    let instances = Instances::look(room, service, current, (&from.manifest, &to.manifest))?;
    let (routes, more_routes) = compare::routes(&from.manifest, &to.manifest);
    let forecast = ForecastBills { service: service.clone(), release: to.release.digest.clone() };
    let bills = room.peers().call(forecast).await?;
    Ok(Preview {
        service: service.clone(),
        from: current.clone(),
        to: to.release.digest.clone(),
        instances: instances.count,
        elsewhere: instances.elsewhere,
        database: database(&from.manifest, &to.manifest, &instances),
        modules: modules(&from.manifest, &to.manifest, instances),
        permissions: permissions(room, service, (&from.manifest, &to.manifest)).await?,
        jobs: jobs(room, service, (&from.manifest, &to.manifest)).await?,
        routes,
        more_routes,
        meters: compare::meters(&from.manifest, &to.manifest),
        bills: Some(bills).filter(|bills| !bills.changes.is_empty()),
    })
}

/// The instances of a service, and which of them something concerns.
#[derive(Default)]
struct Instances {
    count: u64,
    elsewhere: u64,
    /// By the module that they have.
    with: BTreeMap<String, Concerned>,
    migrated: Concerned,
    stay: Concerned,
}

impl Instances {
    fn look(
        room: &Room<State>,
        service: &Name,
        current: &Digest,
        (from, to): (&Manifest, &Manifest),
    ) -> Result<Self, Error> {
        let mut seen = Self::default();
        room.state().planning.each_route(|route| {
            if route.service == *service {
                seen.see(route, current, (from, to));
            }
        })?;
        let all = seen.with.values_mut().chain([&mut seen.migrated, &mut seen.stay]);
        for concerned in all {
            concerned.hosts.sort();
            concerned.hosts.truncate(INSTANCES_MAX);
        }
        Ok(seen)
    }

    fn see(&mut self, route: &Route, current: &Digest, (from, to): (&Manifest, &Manifest)) {
        self.count += 1;
        self.elsewhere += u64::from(route.release != *current);
        for module in &route.modules {
            add(self.with.entry(module.clone()).or_default(), route);
        }
        // What is not set up yet is made as the release says.
        if route.state != InstanceState::Open {
            return;
        }
        let needed = to.schema();
        // What was migrated so that the former code could go on with it is read by that.
        let was_compatible = from.database.as_ref().is_some_and(|database| database.compatible);
        if needed > route.schema {
            add(&mut self.migrated, route);
        } else if needed > 0 && needed < route.schema && !was_compatible {
            add(&mut self.stay, route);
        }
    }
}

fn add(concerned: &mut Concerned, route: &Route) {
    concerned.count += 1;
    concerned.hosts.push(route.host.clone());
}

fn database(from: &Manifest, to: &Manifest, instances: &Instances) -> Option<DatabaseChange> {
    let (before, after) = (from.schema(), to.schema());
    let change = match (before, after) {
        _ if before == after && instances.migrated.count + instances.stay.count == 0 => {
            return None;
        }
        (0, _) => Change::Added,
        (_, 0) => Change::Dropped,
        _ => Change::Changed,
    };
    Some(DatabaseChange {
        change,
        before,
        after,
        compatible: to.database.as_ref().is_some_and(|database| database.compatible),
        migrated: instances.migrated.clone(),
        stay: instances.stay.clone(),
    })
}

fn modules(from: &Manifest, to: &Manifest, mut instances: Instances) -> Vec<ModuleChange> {
    let all = compare::changes(&from.modules, &to.modules, |_, _| true);
    let all = all.into_iter().map(|(change, name, both)| ModuleChange {
        change,
        module: name.to_owned(),
        title: both.into_iter().flatten().next().map(|it| it.title.clone()).unwrap_or_default(),
        instances: instances.with.remove(name).unwrap_or_default(),
    });
    all.collect()
}

async fn permissions(
    room: &Room<State>,
    service: &Name,
    (from, to): (&Manifest, &Manifest),
) -> Result<Vec<PermissionChange>, Error> {
    let all = compare::changes(&from.permissions, &to.permissions, |_, _| true);
    let named = all.into_iter().filter_map(|(change, verb, both)| {
        let permission: Permission = format!("{service}.{verb}").parse().ok()?;
        let title = both.into_iter().flatten().next().map(|entry| entry.title.clone());
        let title = title.unwrap_or_default();
        Some(PermissionChange { change, permission, title, grants: 0, first: Vec::new() })
    });
    let mut changes: Vec<PermissionChange> = named.collect();
    let permissions: BTreeSet<Permission> =
        changes.iter().map(|change| change.permission.clone()).collect();
    if permissions.is_empty() {
        return Ok(changes);
    }
    // Those that were dropped once and come again are granted already.
    let first = u32::try_from(GRANTS_MAX).unwrap_or(u32::MAX);
    let mut counts = BTreeMap::new();
    for permissions in permissions.into_iter().collect::<Vec<_>>().chunks(ASKED_AT_ONCE) {
        let permissions = permissions.iter().cloned().collect();
        let ask = CountGrants { service: service.clone(), permissions, first };
        for count in room.peers().call(ask).await?.permissions {
            counts.insert(count.permission.clone(), count);
        }
    }
    for change in &mut changes {
        if let Some(count) = counts.remove(&change.permission) {
            (change.grants, change.first) = (count.grants, count.first);
        }
    }
    Ok(changes)
}

/// Access is asked about so many permissions at once.
const ASKED_AT_ONCE: usize = 200;

async fn jobs(
    room: &Room<State>,
    service: &Name,
    (from, to): (&Manifest, &Manifest),
) -> Result<Vec<JobChange>, Error> {
    let changes = compare::jobs(from, to);
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let waiting = room.peers().call(CountWaiting { service: service.clone() }).await?.kinds;
    let change = |(change, job, [before, after]): (Change, String, compare::JobPair)| {
        let of_job = waiting.iter().filter(|kind| kind.name == job);
        let waiting = of_job.map(|kind| Waiting {
            version: kind.version,
            jobs: kind.jobs,
            instances: kind.instances,
            accepted: after
                .is_some_and(|after| (after.oldest..=after.newest).contains(&kind.version)),
        });
        let waiting = waiting.collect();
        JobChange { change, job, before, after, waiting }
    };
    Ok(changes.into_iter().map(change).collect())
}
