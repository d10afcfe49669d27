//! Is the instance open?

use api::{
    Kind, Problem,
    configurator::{InstanceState, Route},
};
use http::StatusCode;

use super::resolve::lost_contact;
use crate::{
    answer::{Stop, problem},
    front::Front,
    own,
    visit::Visit,
};

/// When to look again whether maintenance is over.
const MAINTENANCE_SECONDS: u32 = 30;
/// When to look again whether something that takes seconds is done.
const SOON_SECONDS: u32 = 2;

/// Holds back whatever is asked of an instance that is closed, our own pages included.
///
/// INVARIANT: when a suspension or maintenance has been acknowledged by every gateway whose lease
/// holds, no gateway lets a new request through: those others answer 503 by the first line, and
/// what has waited is judged again (`look_again`).
pub(crate) fn hold(front: &Front, route: &Route) -> Result<(), Problem> {
    if !front.routes.are_fresh() {
        return Err(lost_contact());
    }
    if let Some(reason) = &route.suspended {
        let detail = format!("this instance is suspended: {reason}");
        let problem = problem(Kind::Denied, StatusCode::PAYMENT_REQUIRED, "suspended", detail);
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

/// Holds back what is asked of an application that has not been set up.
pub(crate) fn until_open(front: &Front, visit: &Visit, route: &Route) -> Result<(), Stop> {
    check_open(route, visit).map_err(|problem| {
        if visit.is_look() {
            return own::waiting(front, &problem, visit).into();
        }
        problem.into()
    })
}

pub(super) fn check_open(route: &Route, visit: &Visit) -> Result<(), Problem> {
    let (title, code, detail) = match route.state {
        InstanceState::Open => return Ok(()),
        InstanceState::AwaitingSetup if visit.sets_up => return Ok(()),
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
    let problem = problem(Kind::Unavailable, StatusCode::SERVICE_UNAVAILABLE, code, detail);
    Problem { title: title.into(), retry_after: Some(seconds), ..problem }
}
