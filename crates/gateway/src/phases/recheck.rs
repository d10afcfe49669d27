//! Judges a request again that has waited.

use api::Problem;

use super::{
    authorize::{Meant, check},
    hold::{check_open, hold},
    resolve::lost_contact,
};
use crate::state::State;

/// Judges a request again that has waited: what was closed or taken back meanwhile, and acknowledged
/// by this gateway, is closed to it too.
pub(super) fn recheck(state: &State, meant: &Meant) -> Result<(), Problem> {
    let now = state.hosts.at(&meant.route.host);
    let same = now.filter(|route| route.instance == meant.route.instance);
    let route = same.ok_or_else(lost_contact)?;
    hold(state, &route)?;
    check_open(&route, meant.sets_up)?;
    meant.asker.check_again(state)?;
    let Meant { asker, method, path, .. } = meant;
    check(state, method.as_str(), &route, path, asker).map(drop)
}
