//! Which jobs recur: a row for each instance and job, of which nothing is looked at before it is due.

use api::jobs::{InstanceState, PutInstance};
use chassis::Write;

use crate::{
    Error, State as Memory,
    store::{self, Definitions, Recurring},
};

/// An instance is new, open, closed, on another release or has ended. What its release says of
/// schedules holds; what was due while it was closed is dealt with when it opens, as its schedule
/// says.
pub(crate) async fn follow_instance(
    cx: &mut Write<Memory>,
    op: &PutInstance,
    definitions: &Definitions,
) -> Result<(), Error> {
    if op.state == InstanceState::Ended {
        return Ok(store::delete_schedules_of(cx.tx(), op.instance).await?);
    }
    let now = cx.now();
    for name in store::scheduled_names(cx.tx(), op.instance).await? {
        if definitions.get(&name).is_none_or(|definition| definition.schedule.is_none()) {
            store::delete_schedule(cx.tx(), op.instance, &name).await?;
        }
    }
    for (name, definition) in definitions {
        let Some(schedule) = definition.schedule.clone() else { continue };
        let (account, service, name) = (op.account, op.service.clone(), name.clone());
        let recurring =
            Recurring { instance: op.instance, account, service, name, schedule, last: now };
        store::put_schedule(cx.tx(), &recurring, op.state == InstanceState::Open).await?;
    }
    Ok(())
}
