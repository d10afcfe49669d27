//! What `jobs` knows of instances.

use api::{
    Problem,
    configurator::InstanceState,
    jobs::{self, PutInstance},
};
use chassis::{Next, Room};

use crate::{
    Error, State,
    store::{self, Stored},
};

const AT_ONCE: u32 = 100;

/// Tells `jobs` whose instances there are, by which release their jobs are done, and whether they may
/// run.
pub(crate) async fn tell_jobs(room: Room<State>) -> Result<Next, Error> {
    let untold = store::instances_to_tell(room.db(), AT_ONCE).await?;
    if untold.is_empty() {
        return Ok(Next::Idle);
    }
    let mut failed = None;
    for (stored, changes) in untold {
        let instance = stored.instance;
        match tell_of(&room, stored).await {
            Ok(()) => store::set_told(room.db(), instance, changes).await?,
            Err(problem) => failed = failed.or(Some(problem)),
        }
    }
    failed.map_or(Ok(Next::Now), |problem| Err(problem.into()))
}

/// Tells `jobs` of one.
async fn tell_of(room: &Room<State>, stored: Stored) -> Result<(), Problem> {
    let closed = stored.suspended.is_some() || stored.maintenance.is_some();
    let moves = stored.moving.as_ref().is_some_and(|it| it.needs.holds_jobs(it.step));
    let is_open = stored.state == InstanceState::Open && !closed && !moves;
    let gate = stored.moving.as_ref().map(|it| it.needs.gate(it.step)).unwrap_or_default();
    let put = PutInstance {
        instance: stored.instance,
        account: stored.account,
        service: stored.service,
        release: stored.release,
        state: if is_open { jobs::InstanceState::Open } else { jobs::InstanceState::Closed },
        gate,
    };
    room.peers().call(put).await.map(drop)
}
