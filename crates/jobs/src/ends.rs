//! What becomes of jobs that have ended: the configurator is told, and later they are forgotten.

use std::time::Duration;

use api::configurator::PutJobResult;
use chassis::{Next, Room};

use crate::{Error, State, store};

const AT_ONCE: u32 = 100;
/// For how long a job that has ended is kept, with what it printed.
const KEPT: Duration = Duration::from_hours(30 * 24);
const FORGOTTEN_AT_ONCE: u32 = 500;

/// Tells how jobs ended. It may be told again, and is told until it was heard.
pub(crate) async fn tell_configurator(room: Room<State>) -> Result<Next, Error> {
    let ended = store::untold(room.db(), AT_ONCE).await?;
    if ended.is_empty() {
        return Ok(Next::Idle);
    }
    for stored in ended {
        let job = stored.job.job;
        let result = PutJobResult {
            job,
            state: stored.job.state,
            output: stored.job.output,
            problem: stored.job.problem,
        };
        match room.peers().call(result).await {
            Err(problem) if problem.is_transient() => return Err(problem.into()),
            Err(problem) => tracing::error!(%job, %problem, "nobody wants to know how it ended"),
            Ok(_) => {}
        }
        store::delete_untold(room.db(), job).await?;
    }
    Ok(Next::Now)
}

pub(crate) async fn forget(room: Room<State>) -> Result<Next, Error> {
    let before = room.now().minus(KEPT);
    let forgotten = store::prune(room.db(), before, FORGOTTEN_AT_ONCE).await?;
    Ok(if forgotten == u64::from(FORGOTTEN_AT_ONCE) { Next::Now } else { Next::Idle })
}
