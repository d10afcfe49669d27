//! Jobs that recur: a row for each instance and job, of which nothing is looked at before it is due.
//!
//! A tick's job has an id that follows from the instance, the name and the tick, and is queued in
//! the transaction that says that the tick is dealt with: so it is queued once, whenever this
//! process is killed and however the clock is set.

mod rule;

use std::time::Duration;

use api::jobs::{InstanceState, NewJob, PutInstance};
use chassis::{Next, Room, Write};
use serde_json::json;
use types::Name;

use crate::{
    Error, State as Memory,
    enqueue::enqueue,
    releases::{Known, known_here},
    store::{self, Definitions, Recurring},
};
use rule::{Due, job_of, offset};

const AT_ONCE: u32 = 100;
/// When to look again whether a gate that refuses is open.
const GATE_PAUSE: Duration = Duration::from_secs(30);

/// A release has become its service's current one: what it says of schedules holds for every
/// instance.
pub(crate) async fn follow_release(
    cx: &mut Write<Memory>,
    service: &Name,
    definitions: &Definitions,
) -> Result<(), Error> {
    let now = cx.now();
    store::lock_releases(cx.tx(), service).await?;
    for name in store::scheduled_names(cx.tx(), service).await? {
        if definitions.get(&name).is_none_or(|definition| definition.schedule.is_none()) {
            store::delete_schedules(cx.tx(), service, &name).await?;
        }
    }
    for (name, definition) in definitions {
        if let Some(schedule) = &definition.schedule {
            store::put_schedules(cx.tx(), service, (name, schedule), now).await?;
        }
    }
    Ok(())
}

/// An instance is new, open, closed or has ended. What was due while it was closed is dealt with
/// when it opens, as its schedule says.
pub(crate) async fn follow_instance(cx: &mut Write<Memory>, op: &PutInstance) -> Result<(), Error> {
    if op.state == InstanceState::Ended {
        return Ok(store::delete_schedules_of(cx.tx(), op.instance).await?);
    }
    let now = cx.now();
    store::keep_releases(cx.tx(), &op.service).await?;
    let Some(known) = current(cx, &op.service).await? else { return Ok(()) };
    for (name, definition) in &known.1 {
        let Some(schedule) = definition.schedule.clone() else { continue };
        let (account, service, name) = (op.account, op.service.clone(), name.clone());
        let recurring =
            Recurring { instance: op.instance, account, service, name, schedule, last: now };
        store::put_schedule(cx.tx(), &recurring, op.state == InstanceState::Open).await?;
    }
    Ok(())
}

async fn current(cx: &mut Write<Memory>, service: &Name) -> Result<Option<Known>, Error> {
    match store::current_release(cx.tx(), service).await? {
        Some(release) => known_here(cx, &release).await,
        None => Ok(None),
    }
}

/// Queues what is due. Nothing is asked of what is not.
pub(crate) async fn queue_due(room: Room<Memory>) -> Result<Next, Error> {
    let due = store::schedules_due(room.db(), room.now(), AT_ONCE).await?;
    if due.is_empty() {
        let next = store::next_schedule(room.db()).await?;
        return Ok(next.map_or(Next::Idle, |next| Next::In(next.since(room.now()))));
    }
    for seen in due {
        let mut write = room.begin().await?;
        let (now, key) = (write.now(), (seen.instance, seen.name.as_str()));
        let Some(recurring) = store::schedule_due(write.tx(), key, now).await? else { continue };
        match queue(&mut write, &recurring).await {
            Ok(()) => {}
            // As if nobody had looked: what is missed meanwhile is made up for as it says.
            Err(Error::Gate { .. }) => {
                let later = now.plus(GATE_PAUSE);
                store::set_due(write.tx(), &recurring, (recurring.last, Some(later))).await?;
            }
            Err(error) => return Err(error),
        }
        write.commit().await?;
    }
    Ok(Next::Now)
}

async fn queue(write: &mut Write<Memory>, recurring: &Recurring) -> Result<(), Error> {
    let Recurring { instance, account, service, name, schedule, last } = recurring;
    let offset = offset(schedule, *instance, name);
    let Due { ticks, last, next } = rule::due(schedule, offset, *last, write.now());
    let known = current(write, service).await?;
    let version = known.and_then(|known| Some(known.1.get(name)?.version));
    let mut jobs = Vec::new();
    for tick in ticks {
        let job = job_of(*instance, name, tick);
        // It was queued by a process whose database has been put back since.
        if store::entry(write.tx(), job).await?.is_none() {
            let payload = json!({ "tick": tick });
            jobs.push((job, NewJob { name: name.clone(), payload, version, ..NewJob::default() }));
        }
    }
    if !jobs.is_empty() {
        enqueue(write, *account, *instance, jobs).await?;
    }
    Ok(store::set_due(write.tx(), recurring, (last, next)).await?)
}
