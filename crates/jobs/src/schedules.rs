//! Which jobs recur: a row for each instance and job, of which nothing is looked at before it is due.

use api::jobs::{InstanceState, PutInstance};
use chassis::Write;
use types::Name;

use crate::{
    Error, State as Memory,
    store::{self, Definitions, Recurring},
};

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
pub(crate) async fn follow_instance(
    cx: &mut Write<Memory>,
    op: &PutInstance,
    definitions: &Definitions,
) -> Result<(), Error> {
    if op.state == InstanceState::Ended {
        return Ok(store::delete_schedules_of(cx.tx(), op.instance).await?);
    }
    let now = cx.now();
    for (name, definition) in definitions {
        let Some(schedule) = definition.schedule.clone() else { continue };
        let (account, service, name) = (op.account, op.service.clone(), name.clone());
        let recurring =
            Recurring { instance: op.instance, account, service, name, schedule, last: now };
        store::put_schedule(cx.tx(), &recurring, op.state == InstanceState::Open).await?;
    }
    Ok(())
}
