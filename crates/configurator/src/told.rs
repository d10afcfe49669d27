//! What `jobs` knows of instances.

use std::collections::BTreeMap;

use api::{
    Problem,
    configurator::InstanceState,
    jobs::{self, PutInstances},
};
use chassis::{Next, Room};

use crate::{
    Error, State,
    store::{self, Stored},
};

const AT_ONCE: u32 = 500;

/// Tells `jobs` whose instances there are, by which release their jobs are done, and whether they may
/// run.
pub(crate) async fn tell_jobs(room: Room<State>) -> Result<Next, Error> {
    let untold = store::instances_to_tell(room.db(), AT_ONCE).await?;
    if untold.is_empty() {
        return Ok(Next::Idle);
    }
    let instances: BTreeMap<_, _> =
        untold.iter().map(|(stored, _)| (stored.instance, told(stored))).collect();
    let unknown = room.peers().call(PutInstances { instances }).await?.releases;
    let told = untold.iter().filter(|(stored, _)| !unknown.contains(&stored.release));
    store::set_told(room.db(), told.map(|(stored, changes)| (stored.instance, *changes))).await?;
    match unknown.first() {
        None => Ok(Next::Now),
        Some(release) => {
            let detail = format!("`jobs` does not know release {} yet", release.short());
            Err(Problem::unavailable(detail, 1).into())
        }
    }
}

/// What it is told of one.
fn told(stored: &Stored) -> jobs::Instance {
    let closed = stored.suspended.is_some() || stored.maintenance.is_some();
    let moves = stored.moving.as_ref().is_some_and(|it| it.needs.holds_jobs(it.step));
    let is_open = stored.state == InstanceState::Open && !closed && !moves;
    jobs::Instance {
        account: stored.account,
        service: stored.service.clone(),
        release: stored.release.clone(),
        state: if is_open { jobs::InstanceState::Open } else { jobs::InstanceState::Closed },
        gate: stored.moving.as_ref().map(|it| it.needs.gate(it.step)).unwrap_or_default(),
    }
}
