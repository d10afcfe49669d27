//! Is the instance open?

use std::{sync::Arc, time::Duration};

use api::{
    Kind, Problem,
    configurator::{HOLD_SECONDS, InstanceState, Route},
};
use http::StatusCode;
use tokio::time::Instant;

use super::{resolve::lost_contact, stop::Stop, visit::Visit};
use crate::{render, state::State};

/// When to look again whether maintenance is over.
const MAINTENANCE_SECONDS: u32 = 30;
/// When to look again whether something that takes seconds is done.
const SOON_SECONDS: u32 = 2;

/// Holds back whatever is asked of an instance that is closed, our own pages included.
///
/// INVARIANT: when a suspension or maintenance has been acknowledged by every gateway whose lease
/// holds, no gateway lets a new request through: those others answer 503 by the first line, and
/// what has waited is judged again (`recheck`).
pub(crate) fn hold(state: &State, route: &Route) -> Result<(), Problem> {
    if !state.hosts.are_fresh() {
        return Err(lost_contact());
    }
    if let Some(reason) = &route.suspended {
        let detail = format!("this instance is suspended: {reason}");
        let problem = Problem::new(Kind::Denied, "suspended", detail)
            .with_status(StatusCode::PAYMENT_REQUIRED);
        return Err(Problem { title: "Suspended".into(), ..problem });
    }
    if let Some(reason) = &route.maintenance {
        let detail = format!("this instance is closed for maintenance: {reason}");
        return Err(wait("Maintenance", "maintenance", detail, MAINTENANCE_SECONDS));
    }
    if route.state == InstanceState::Creating {
        let detail = "this instance is being created; its set-up page will be here in a moment";
        return Err(wait("Being made", "creating", detail, SOON_SECONDS));
    }
    Ok(())
}

/// Has a request wait while its instance moves to another release with its database, for as long as
/// that may take; answers the instance as it is then.
pub(crate) async fn until_moved(
    state: &State,
    visit: &mut Visit,
    route: &Route,
    since: Instant,
) -> Result<Arc<Route>, Stop> {
    // It is not under way while it waits.
    visit.in_flight = None;
    let until = since + Duration::from_secs(HOLD_SECONDS.into());
    let permit = state.may_wait();
    while permit.is_some() {
        let changed = state.hosts.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let same = state.hosts.enter(&route.host).filter(|it| it.route.instance == route.instance);
        let entered = same.ok_or_else(lost_contact)?;
        if entered.held.is_none() {
            hold(state, &entered.route)?;
            until_open(state, visit, &entered.route)?;
            visit.in_flight = Some(entered.in_flight);
            return Ok(entered.route);
        }
        drop(entered);
        if tokio::time::timeout_at(until, changed).await.is_err() {
            break;
        }
    }
    let detail = "this instance is being brought to a new version and will be back in a moment";
    let problem = wait("A new version", "moving", detail, SOON_SECONDS);
    Err(if visit.is_look() {
        render::waiting(&visit.reader(&state.console), &problem).into()
    } else {
        problem.into()
    })
}

/// Holds back what is asked of an application that has not been set up.
pub(crate) fn until_open(state: &State, visit: &Visit, route: &Route) -> Result<(), Stop> {
    check_open(route, visit.sets_up).map_err(|problem| {
        if visit.is_look() {
            return render::waiting(&visit.reader(&state.console), &problem).into();
        }
        problem.into()
    })
}

pub(super) fn check_open(route: &Route, sets_up: bool) -> Result<(), Problem> {
    let (title, code, detail) = match route.state {
        InstanceState::Open => return Ok(()),
        InstanceState::AwaitingSetup if sets_up => return Ok(()),
        InstanceState::SettingUp | InstanceState::Creating => (
            "Being set up",
            "setting_up",
            "this instance is being set up and will open in a moment",
        ),
        InstanceState::AwaitingSetup => (
            "Waiting to be set up",
            "setup_needed",
            "this instance is not set up yet: its owner has the set-up link",
        ),
        InstanceState::Failed => (
            "Not set up yet",
            "setup_failed",
            "the set-up of this instance failed: its owner can send it again from the set-up link",
        ),
    };
    Err(wait(title, code, detail, SOON_SECONDS))
}

fn wait(title: &str, code: &str, detail: impl Into<String>, seconds: u32) -> Problem {
    let problem = Problem::new(Kind::Unavailable, code, detail);
    Problem { title: title.into(), retry_after: Some(seconds), ..problem }
}
