//! Which jobs recur: a row for each instance and job, of which nothing is looked at before it is due.

use std::collections::BTreeMap;

use api::jobs::{Instance, InstanceState};
use chassis::Write;
use types::InstanceId;

use crate::{
    Error, State as Memory,
    store::{self, Definitions, Recurring},
};

/// Instances are new, open, closed, on another release or have ended. What the release says of
/// schedules holds; what was due while an instance was closed is dealt with when it opens, as its
/// schedule says.
pub(crate) async fn follow_instances(
    cx: &mut Write<Memory>,
    instances: &BTreeMap<InstanceId, Instance>,
    definitions: &Definitions,
) -> Result<(), Error> {
    let recurs = |id: &InstanceId, name: &String| {
        let has_ended = instances.get(id).is_none_or(|it| it.state == InstanceState::Ended);
        !has_ended && definitions.get(name).is_some_and(|it| it.schedule.is_some())
    };
    let known = store::scheduled(cx.tx(), instances.keys().copied()).await?;
    let gone = known.into_iter().filter(|(id, name)| !recurs(id, name));
    store::delete_schedules(cx.tx(), gone).await?;
    let (now, mut all) = (cx.now(), Vec::new());
    for (id, it) in instances {
        for (name, definition) in definitions.iter().filter(|(name, _)| recurs(id, name)) {
            let Some(schedule) = definition.schedule.clone() else { continue };
            let (account, service, name) = (it.account, it.service.clone(), name.clone());
            let recurring =
                Recurring { instance: *id, account, service, name, schedule, last: now };
            all.push((recurring, it.state == InstanceState::Open));
        }
    }
    Ok(store::put_schedules(cx.tx(), &all).await?)
}
