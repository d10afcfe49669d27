//! Whether an instance answers, and what is waited for if not.

use std::sync::Arc;

use api::{
    configurator::{InstanceState, Route},
    manifest::Tenancy,
    releases::{GetReadiness, Readiness, ReleaseState, ReplicaReport, ReplicaState},
};
use chassis::Call;
use types::ReplicaId;

use crate::{
    Error, State, planning,
    said::Report,
    store::{self, Stored},
};

/// The gateways lead to what is healthy as soon as they hear of it, so this is answered when they
/// have heard of all that it follows from.
pub(crate) async fn get_readiness(cx: Call<State>, op: GetReadiness) -> Result<Readiness, Error> {
    let route = cx.state().planning.route(op.instance)?;
    let route = route.filter(|route| route.account == op.account).ok_or(Error::NoInstance)?;
    if let Some(what) = until_open(&route) {
        return Ok(waiting(what.to_owned()));
    }
    let plan = planning::plan(&cx).await?;
    let Some(release) = plan.releases.get(&route.release) else {
        return Ok(waiting(format!("a release of `{}` that can run", route.service)));
    };
    let reports = cx.state().nodes.reports(cx.now());
    let healthy: Vec<ReplicaId> = reports
        .iter()
        .flat_map(|report| &report.replicas)
        .filter(|it| it.state == ReplicaState::Healthy && serves(it, &route, release))
        .map(|it| it.replica)
        .collect();
    // A node is believed about what it was asked to run: that is what the gateways were told of.
    if !store::any_told(cx.db(), &healthy).await? {
        if let Some(what) = cx.state().placing.waits_for(op.instance) {
            return Ok(waiting(what));
        }
        return Ok(waiting(until_healthy(&route, release, &reports)));
    }
    cx.copies_have_all().await?;
    Ok(Readiness { ready: true, waits_for: None })
}

fn waiting(what: String) -> Readiness {
    Readiness { ready: false, waits_for: Some(what) }
}

fn until_open(route: &Route) -> Option<&'static str> {
    match (route.state, &route.suspended, &route.maintenance) {
        (InstanceState::Creating, ..) => Some("its database"),
        (InstanceState::AwaitingSetup | InstanceState::Failed, ..) => Some("its set-up"),
        (InstanceState::SettingUp, ..) => Some("the jobs of its set-up"),
        (InstanceState::Open, Some(_), _) => Some("the operator, who has suspended it"),
        (InstanceState::Open, _, Some(_)) => Some("the end of its maintenance"),
        (InstanceState::Open, None, None) => None,
    }
}

fn serves(replica: &ReplicaReport, route: &Route, release: &Stored) -> bool {
    let instance = match release.tenancy() {
        Tenancy::Shared => None,
        Tenancy::Dedicated => Some(route.instance),
    };
    replica.is_web() && (&replica.digest, replica.instance) == (&route.release, instance)
}

/// The first step that is not done on the node that is furthest.
fn until_healthy(route: &Route, release: &Stored, reports: &[Arc<Report>]) -> String {
    let service = &route.service;
    if reports.is_empty() {
        return "a machine to run it".to_owned();
    }
    let mut replicas = reports.iter().flat_map(|report| &report.replicas);
    if let Some(replica) = replicas.find(|it| serves(it, route, release)) {
        return match replica.state {
            ReplicaState::Failing | ReplicaState::CrashLoop => format!(
                "its process to become healthy: it was started {} times; only the publisher of \
                 `{service}` can mend it",
                replica.starts
            ),
            ReplicaState::Unready => "its process, which is alive, to say it is ready".to_owned(),
            ReplicaState::Starting | ReplicaState::Healthy | ReplicaState::Stopping => {
                "its process to answer the health check".to_owned()
            }
        };
    }
    let digest = &release.release.digest;
    let of_it =
        reports.iter().flat_map(|report| &report.releases).filter(|it| it.digest == *digest);
    let states: Vec<ReleaseState> = of_it.map(|release| release.state).collect();
    let has = |state| states.contains(&state);
    let (short, ready) = (digest.short(), has(ReleaseState::Ready));
    if ready {
        "its process to be started".to_owned()
    } else if has(ReleaseState::Building) {
        format!("release {short} of `{service}` to be built")
    } else if has(ReleaseState::Failed) && !has(ReleaseState::Fetching) {
        format!(
            "a release of `{service}` that can be built: {short} cannot, and only its publisher \
             can mend it"
        )
    } else {
        format!("release {short} of `{service}` to be fetched")
    }
}
