//! What is owed for a request: written to the journal before the answer is released.
//!
//! The head of an answer waits for the record of what is known by then (that it was a request);
//! the last part of its body waits for the record of what is known only then (bytes, time). If the
//! visitor or the application breaks off, what had passed is written; if that cannot be written,
//! the journal keeps it until it can. Only what an application
//! answered is counted: nobody pays for a page of ours. If the process is killed while a body is
//! under way, its bytes are not counted: that is for the customer, not against them.

use std::{io, rc::Rc};

use api::{
    Problem,
    billing::UsageEvent,
    configurator::Route,
    manifest::{Count, Meter},
};
use http::HeaderValue;
use types::Timestamp;

use super::{authorize::Meant, visit::Visit, worker::Worker};
use crate::{request::body::Flow, state::State, usage::tail::Tail};

/// Writes what is known now; `whole` is how long the body of the answer is if nothing more of it will
/// come, so that everything is known. Answers with what is to be written later, if there is something.
pub(crate) async fn before_release(
    Worker { state, batches, .. }: &Worker,
    visit: &Visit,
    meant: &Meant,
    status: u16,
    (flow, whole): (&Rc<Flow>, Option<u64>),
) -> Result<Option<Tail>, Problem> {
    let method = visit.head.method.as_str();
    let mut now = Vec::new();
    let mut counted = Vec::new();
    for (name, meter) in meant.manifest.meters_of(method, &meant.path, status) {
        let event = event(name, meter, meant, method, (&visit.id_text, visit.at));
        if meter.count == Count::Requests {
            now.push(event);
        } else {
            counted.push((meter.count, event));
        }
    }
    let mut tail = Tail::new(&state.journal, counted, visit.began, flow);
    if let Some(bytes) = whole {
        tail.passed(bytes);
        now.extend(tail.events());
    }
    // Also if nothing is written yet: what will be owed must not pile up.
    if !now.is_empty() || !tail.is_empty() {
        tail.begin(batches, &now).await.map_err(|cause| unrecorded(visit, &cause))?;
    }
    Ok((!tail.is_empty()).then_some(tail))
}

/// Whether usage can be written at all, for a request whose effect comes before its record.
pub(super) fn check(state: &State, visit: &Visit) -> Result<(), Problem> {
    state.journal.append(&[]).map_err(|cause| unrecorded(visit, &cause))
}

/// Writes what is owed for a request that became a job, before it is answered. It was queued, so
/// what cannot be written now is written as soon as it can be.
pub(super) fn of_job(state: &State, visit: &Visit, meant: &Meant, status: u16, flow: &Rc<Flow>) {
    let method = visit.head.method.as_str();
    let meters = meant.manifest.meters_of(method, &meant.path, status);
    let counted = meters
        .map(|(name, meter)| {
            (meter.count, event(name, meter, meant, method, (&visit.id_text, visit.at)))
        })
        .collect();
    drop(Tail::new(&state.journal, counted, visit.began, flow));
}

fn unrecorded(visit: &Visit, cause: &io::Error) -> Problem {
    tracing::error!(request = %visit.id, %cause, "usage cannot be written; held back");
    Problem::unavailable("usage cannot be recorded here now; try again", 5)
}

fn event(
    name: &str,
    meter: &Meter,
    meant: &Meant,
    method: &str,
    (id, at): (&HeaderValue, Timestamp),
) -> UsageEvent {
    let Route { account, instance, .. } = *meant.route;
    let matched = &meant.manifest.routes[meant.matched].pattern;
    // A pattern and never the path: paths can hold what only the visitor may know.
    let pattern = meter.pattern.as_ref().unwrap_or(matched);
    let note = match pattern.method() {
        Some(_) => pattern.to_string(),
        None => format!("{method} {pattern}"),
    };
    UsageEvent {
        event: id.to_str().unwrap_or_default().to_owned(),
        at,
        account,
        instance,
        meter: name.to_owned(),
        quantity: 1,
        note,
    }
}
