//! Telling billing what the jobs took.

use api::{
    billing::RecordUsage,
    jobs::{BeginUsage, UsageBegun},
};
use chassis::{Next, Room, Write};

use crate::{Error, State, store};

const BATCH: i64 = 500;

/// Billing must not take what is told from now on for a repetition of what it was told before.
pub(crate) async fn begin_usage(cx: &mut Write<State>, _: BeginUsage) -> Result<UsageBegun, Error> {
    let now = cx.now();
    let dropped = store::begin_usage(cx.tx(), now).await?;
    Ok(UsageBegun { epoch: store::epoch(cx.tx()).await?, dropped })
}

/// Sends what billing has not been told. A batch that is sent again counts once, since its
/// numbers name it.
pub(crate) async fn tell_billing(room: Room<State>) -> Result<Next, Error> {
    let usage = store::usage(room.db(), BATCH).await?;
    let Some((epoch, first_sequence, events)) = usage else { return Ok(Next::Idle) };
    if epoch == 0 {
        store::name_epoch(room.db(), room.now()).await?;
        return Ok(Next::Now);
    }
    let batch = RecordUsage { source: "jobs".to_owned(), epoch, first_sequence, events };
    let recorded = room.peers().call(batch).await?;
    for refused in &recorded.refused {
        let (sequence, reason) = (refused.sequence, &refused.reason);
        tracing::error!(epoch, sequence, reason, "what a job took is set aside by billing");
    }
    store::delete_usage_before(room.db(), epoch, recorded.next_sequence).await?;
    Ok(Next::Now)
}
