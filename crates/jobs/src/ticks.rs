//! Queueing what recurs when it is due.
//!
//! A tick's job has an id that follows from the instance, the name and the tick, and is queued in
//! the transaction that says that the tick is dealt with: so it is queued once, whenever this
//! process is killed and however the clock is set.

mod rule;

use std::time::Duration;

use api::jobs::NewJob;
use chassis::{Next, Room, Write};
use serde_json::json;
use types::Digest;

use crate::{
    Error, State as Memory,
    enqueue::enqueue,
    releases::definitions_of,
    store::{self, Recurring},
};
use rule::{Due, job_of, offset};

const AT_ONCE: u32 = 100;
/// When to look again whether a gate that refuses is open.
const PAUSE: Duration = Duration::from_secs(30);

/// Queues what is due. Nothing is asked of what is not.
pub(crate) async fn queue_due(room: Room<Memory>) -> Result<Next, Error> {
    let first = store::next_schedule(room.db()).await?;
    if let Some(rest) = Next::rest(first, room.now()) {
        return Ok(rest);
    }
    for seen in store::schedules_due(room.db(), room.now(), AT_ONCE).await? {
        let mut write = room.begin().await?;
        let (now, key) = (write.now(), (seen.instance, seen.name.as_str()));
        // Whoever changes an instance locks it before what of it recurs; so does this, or the two could
        // wait for each other.
        let known = store::instance(write.tx(), seen.instance).await?;
        let release = known.and_then(|known| known.release);
        let Some(recurring) = store::schedule_due(write.tx(), key, now).await? else { continue };
        match queue(&mut write, &recurring, release.as_ref()).await {
            Ok(()) => {}
            Err(error @ (Error::Database(_) | Error::Refused(_))) => return Err(error),
            // As if nobody had looked: what is missed meanwhile is made up for as it says, and what
            // can never be queued holds up nothing else.
            Err(error) => {
                let (instance, job) = (recurring.instance, &recurring.name);
                tracing::warn!(%instance, job, %error, "what recurs cannot be queued now");
                let later = now.plus(PAUSE);
                store::set_due(write.tx(), &recurring, (recurring.last, Some(later))).await?;
            }
        }
        write.commit().await?;
    }
    Ok(Next::Now)
}

async fn queue(
    write: &mut Write<Memory>,
    recurring: &Recurring,
    release: Option<&Digest>,
) -> Result<(), Error> {
    let Recurring { instance, account, service, name, schedule, last } = recurring;
    let offset = offset(schedule, *instance, name);
    let Due { ticks, last, next } = rule::due(schedule, offset, *last, write.now());
    let known = definitions_of(write, service, release).await?;
    let version = known.jobs.get(name).map(|definition| definition.version);
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
