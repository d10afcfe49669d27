//! Telling billing what the jobs took.

use api::billing::RecordUsage;
use chassis::{Next, Room};

use crate::{Error, State, store};

const BATCH: i64 = 500;

/// Sends what billing has not been told. A batch that is sent again counts once, since its
/// numbers name it.
pub(crate) async fn tell_billing(room: Room<State>) -> Result<Next, Error> {
    let rows = store::usage(room.db(), BATCH).await?;
    let Some((first_sequence, _)) = rows.first() else { return Ok(Next::Idle) };
    let first_sequence = *first_sequence;
    let events = rows.into_iter().map(|(_, event)| event).collect();
    let batch = RecordUsage { source: "jobs".to_owned(), epoch: 1, first_sequence, events };
    let recorded = room.peers().call(batch).await?;
    store::delete_usage_before(room.db(), recorded.next_sequence).await?;
    Ok(Next::Now)
}
