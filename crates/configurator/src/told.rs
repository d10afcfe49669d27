//! What `jobs` knows of instances.

use std::collections::BTreeMap;

use api::{Problem, jobs::PutInstances};
use chassis::{Next, Room};

use crate::{Error, State, store};

const AT_ONCE: u32 = 500;

/// Tells `jobs` whose instances there are, by which release their jobs are done, and whether they may
/// run.
pub(crate) async fn tell_jobs(room: Room<State>) -> Result<Next, Error> {
    let untold = store::instances_to_tell(room.db(), AT_ONCE).await?;
    if untold.is_empty() {
        return Ok(Next::Idle);
    }
    let instances: BTreeMap<_, _> =
        untold.iter().map(|(stored, _)| (stored.instance, stored.told())).collect();
    let unknown = room.peers().call(PutInstances { instances }).await?.releases;
    let told = untold.iter().filter(|(stored, _)| !unknown.contains(&stored.release));
    let told: Vec<_> = told.map(|(stored, changes)| (stored.instance, *changes)).collect();
    store::set_told(room.db(), told.iter().copied()).await?;
    for (instance, _) in told {
        room.state().wakes.wake(instance);
    }
    match unknown.first() {
        None => Ok(Next::Now),
        Some(release) => {
            let detail = format!("`jobs` does not know release {} yet", release.short());
            Err(Problem::unavailable(detail, 1).into())
        }
    }
}
