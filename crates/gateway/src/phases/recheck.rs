//! Judges a request again that has waited.

use std::sync::Arc;

use api::{Problem, configurator::Route};

use super::{
    authorize::{Meant, check},
    hold::{check_open, hold},
    resolve::lost_contact,
};
use crate::state::State;

/// Judges a request again that has waited: what was closed or taken back meanwhile, and acknowledged
/// by this gateway, is closed to it too.
pub(super) fn recheck(state: &State, meant: &Meant) -> Result<(), Problem> {
    let route = still_open(state, meant)?;
    recheck_at(state, meant, &route)
}

/// The same for an answer that goes on: what its instance's release is may come a moment later, and
/// does not end it.
pub(super) fn recheck_going_on(state: &State, meant: &Meant) -> Result<Arc<Route>, Problem> {
    let route = still_open(state, meant)?;
    if state.releases.manifest(&route.release).is_some() {
        recheck_at(state, meant, &route)?;
    }
    Ok(route)
}

/// The instance as it is now, if it is open to whoever asks, and they are still who they were.
fn still_open(state: &State, meant: &Meant) -> Result<Arc<Route>, Problem> {
    let now = state.hosts.at(&meant.route.host);
    let same = now.filter(|route| route.instance == meant.route.instance);
    let route = same.ok_or_else(lost_contact)?;
    hold(state, &route)?;
    check_open(&route, meant.sets_up)?;
    meant.asker.check_again(state)?;
    Ok(route)
}

fn recheck_at(state: &State, meant: &Meant, route: &Route) -> Result<(), Problem> {
    let Meant { asker, method, path, .. } = meant;
    check(state, method.as_str(), route, path, asker).map(drop)
}
