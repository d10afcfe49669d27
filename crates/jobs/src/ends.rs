//! What becomes of the jobs of set-ups that have ended: the configurator is told.

use api::configurator::PutJobResult;
use chassis::{Next, Room};

use crate::{Error, State, store};

const AT_ONCE: u32 = 100;

/// Tells how jobs ended. It may be told again, and is told until it was heard.
pub(crate) async fn tell_configurator(room: Room<State>) -> Result<Next, Error> {
    let ended = store::untold(room.db(), AT_ONCE).await?;
    if ended.is_empty() {
        return Ok(Next::Idle);
    }
    for job in ended {
        if let Some(ended) = store::job(room.db(), job).await? {
            let (state, output, problem) = (ended.state, ended.output, ended.problem);
            let result = PutJobResult { job, state, output, problem, lost: ended.lost > 0 };
            match room.peers().call(result).await {
                Err(problem) if problem.is_transient() => return Err(problem.into()),
                Err(problem) => {
                    tracing::error!(%job, %problem, "nobody wants to know how it ended");
                }
                Ok(_) => {}
            }
        }
        store::delete_untold(room.db(), job).await?;
    }
    Ok(Next::Now)
}
