//! Databases that instances have moved from: kept for a while, and removed.

use std::time::Duration;

use chassis::{Next, Room};

use crate::{Error, State, store};

const AT_ONCE: u32 = 20;
/// When to try again; it holds up no other.
const LATER: Duration = Duration::from_hours(1);

/// Removes those that were kept for long enough.
pub(crate) async fn remove_former(room: Room<State>) -> Result<Next, Error> {
    let first = store::next_former(room.db()).await?;
    if let Some(rest) = Next::rest(first, room.now()) {
        return Ok(rest);
    }
    for (instance, copy) in store::former_databases(room.db(), room.now(), AT_ONCE).await? {
        match room.state().engine.remove(&instance.to_string(), copy).await {
            Ok(()) => store::delete_former(room.db(), instance, copy).await?,
            Err(problem) => {
                tracing::error!(%instance, copy, %problem, "a database cannot be removed yet");
                let later = room.now().plus(LATER);
                store::forget_former_later(room.db(), instance, copy, later).await?;
            }
        }
    }
    Ok(Next::Now)
}
