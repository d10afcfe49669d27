//! Which release each instance is on: `releases` decides when one moves to another.

use api::{
    Empty,
    configurator::{InstanceState, MoveInstances},
};
use chassis::{Room, Write};

use crate::{
    Error, State,
    model::instance::route,
    store::{self, Stored},
};

const AT_ONCE: usize = 500;

pub(crate) async fn move_instances(
    cx: &mut Write<State>,
    op: MoveInstances,
) -> Result<Empty, Error> {
    if op.instances.len() > AT_ONCE {
        return Err(Error::TooManyMoves);
    }
    // In the order of their ids, so that no two wait for each other.
    for instance in op.instances {
        let known = store::instance(cx.tx(), instance).await?;
        // A set-up is begun anew by another release, or goes on by its own.
        let moves = |known: &Stored| {
            known.service == op.service
                && known.release != op.release
                && known.state != InstanceState::SettingUp
        };
        let Some(known) = known.filter(moves) else { continue };
        store::set_release(cx.tx(), instance, &op.release).await?;
        cx.put(&route(&Stored { release: op.release.clone(), ..known })).await?;
    }
    cx.wait_for_copies();
    Ok(Empty {})
}

/// What was there before it was written down which release it is on, is on the current one.
pub(crate) async fn put_on_releases(room: Room<State>) -> Result<(), Error> {
    let most = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
    loop {
        let some = store::instances_on_none(room.db(), most).await?;
        if some.is_empty() {
            return Ok(());
        }
        let mut write = room.begin().await?;
        for (instance, release) in some {
            store::set_release(write.tx(), instance, &release).await?;
            if let Some(known) = store::instance(write.tx(), instance).await? {
                write.put(&route(&known)).await?;
            }
        }
        write.commit().await?;
    }
}
