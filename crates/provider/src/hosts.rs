//! Whose the hosts around a host are.

use chassis::Room;
use types::{AccountId, Host};

use crate::{
    Error, State,
    model::hosts::{above, labels},
    store,
};

/// A browser sends the cookies of a host to what lies below it, and lets that set cookies for what
/// lies above it. So hosts that lie so belong to one account.
pub(crate) async fn check_neighbours(
    tx: &mut db::Tx,
    host: &Host,
    account: AccountId,
) -> Result<(), Error> {
    for above in above(host) {
        let owner = store::owner_of_host(tx, above).await?;
        if owner.is_some_and(|owner| owner != account) {
            return Err(Error::HostCrosses(host.clone()));
        }
    }
    if store::is_above_anothers(tx, &labels(host), account).await? {
        return Err(Error::HostCrosses(host.clone()));
    }
    Ok(())
}

/// Fills in the labels of hosts that were taken before they were kept.
pub(crate) async fn fill_in_labels(room: Room<State>) -> Result<(), Error> {
    for host in store::hosts_without_labels(room.db()).await? {
        store::set_labels(room.db(), &host, &labels(&host)).await?;
    }
    Ok(())
}
