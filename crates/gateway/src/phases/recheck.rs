//! Judges a request again that has waited.

use api::Problem;

use super::{
    authenticate::Asker,
    authorize::{Meant, check},
    hold::{check_open, hold},
    resolve::lost_contact,
    visit::Visit,
};
use crate::state::State;

/// Judges a request again that has waited: what was closed or taken back meanwhile, and acknowledged
/// by this gateway, is closed to it too.
pub(super) fn recheck(
    state: &State,
    visit: &Visit,
    meant: &Meant,
    asker: &Asker,
) -> Result<(), Problem> {
    let now = state.hosts.at(&meant.route.host);
    let same = now.filter(|route| route.instance == meant.route.instance);
    let route = same.ok_or_else(lost_contact)?;
    hold(state, &route)?;
    check_open(&route, visit)?;
    asker.check_again(state)?;
    let method = visit.head.method.as_str();
    check(state, method, &route, &meant.path, asker).map(drop)
}
