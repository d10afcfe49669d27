//! The jobs of set-ups: each is done by the release that its set-up is for, and by no other.

use api::{
    Empty,
    jobs::{Gate, Job, NewJob, PutJob, SETUP_CLASS, WithdrawSetup},
};
use chassis::Write;

use crate::{
    Error, State as Memory,
    enqueue::{Target, insert, planned},
    fates::{Settled, settle},
    model::{Fate, State},
    releases::definitions_of,
    store::{self, Entry},
};

pub(crate) async fn put_job(cx: &mut Write<Memory>, op: PutJob) -> Result<Job, Error> {
    if let Some(known) = store::entry(cx.tx(), op.job).await? {
        if (known.instance, &known.name) != (op.instance, &op.name) {
            return Err(Error::Different(op.job));
        }
        return store::job(cx.tx(), op.job).await?.ok_or(Error::Missing);
    }
    let (account, instance, service) = (op.account, op.instance, op.service);
    let known = definitions_of(cx, &service, Some(&op.release)).await?;
    let definition = known.jobs.get(&op.name).filter(|known| known.class == SETUP_CLASS);
    let Some(definition) = definition else {
        return Err(Error::NoSetupJob { service, name: op.name });
    };
    cx.state().in_use.add(&service, &op.release);
    let release = Some(op.release.clone());
    let gate = Gate::Open;
    let to = Target { account, instance, service, release, closed: false, gate };
    let after = op.after.into_iter().collect();
    let new = NewJob { name: op.name, after, attempts: op.attempts, ..NewJob::default() };
    let now = cx.now();
    let planned = planned(&to, definition, (op.job, new), 1, false, now)?;
    let lane = planned.row.entry.lane;
    insert(cx, &to, vec![planned]).await.map_err(|error| match error {
        Error::NoneBefore { .. } => Error::NotPut,
        error => error,
    })?;
    store::bind_lane(cx.tx(), lane, &op.release).await?;
    store::job(cx.tx(), op.job).await?.ok_or(Error::Missing)
}

/// What was begun goes on.
pub(crate) async fn withdraw_setup(
    cx: &mut Write<Memory>,
    op: WithdrawSetup,
) -> Result<Empty, Error> {
    let entries = store::entries(cx.tx(), op.jobs).await?;
    let is_untouched = |it: &Entry| {
        it.instance == op.instance
            && it.class == SETUP_CLASS
            && it.state.waits()
            && it.attempts == 0
    };
    if entries.iter().all(is_untouched) {
        let problem = || Some("another release is to do it".to_owned());
        let fate = || Fate::Ended { state: State::Dropped, lost: 0, problem: problem() };
        settle(cx, entries.into_iter().map(|entry| Settled::of(entry, fate())).collect()).await?;
    }
    Ok(Empty {})
}
