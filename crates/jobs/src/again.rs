//! Jobs that are taken back, and jobs that are tried again.

use std::collections::BTreeMap;

use api::jobs::{BATCH_MAX, CancelJob, Gate, Job, ReplayJob, ReplayJobs, Replayed, SETUP_CLASS};
use chassis::Write;
use types::{AccountId, Digest, InstanceId, JobId};

use crate::{
    Error, State as Memory,
    enqueue::{gates, kind_of},
    fates::{Settled, settle},
    model::{Fate, State, place},
    releases::definitions_of,
    store::{self, Entry, Moves, NewLane, has_ended},
};

/// The job, locked, if it is that instance's.
async fn own(
    cx: &mut Write<Memory>,
    account: AccountId,
    instance: InstanceId,
    job: JobId,
) -> Result<Entry, Error> {
    let entry = store::entry(cx.tx(), job).await?;
    let own = |entry: &Entry| (entry.account, entry.instance) == (account, instance);
    entry.filter(own).ok_or(Error::Missing)
}

pub(crate) async fn cancel_job(cx: &mut Write<Memory>, op: CancelJob) -> Result<Job, Error> {
    let entry = own(cx, op.account, op.instance, op.job).await?;
    if entry.class == SETUP_CLASS {
        return Err(Error::SetupJob);
    }
    match entry.state {
        State::Running => store::set_cancelled(cx.tx(), &[op.job]).await?,
        // Taken back twice: the first one counts.
        State::Cancelled => {}
        state if state.has_ended() => return Err(Error::CannotCancel(state.word())),
        _ => {
            let problem = Some("it was cancelled before it was begun".to_owned());
            let fate = Fate::Ended { state: State::Cancelled, lost: entry.lost, problem };
            settle(cx, vec![Settled::of(entry, fate)]).await?;
        }
    }
    store::job(cx.tx(), op.job).await?.ok_or(Error::Missing)
}

pub(crate) async fn replay_job(cx: &mut Write<Memory>, op: ReplayJob) -> Result<Job, Error> {
    let entry = own(cx, op.account, op.instance, op.job).await?;
    if entry.class == SETUP_CLASS {
        return Err(Error::SetupJob);
    }
    let again = [State::Failed, State::Cancelled, State::Dropped, State::SetAside];
    if !again.contains(&entry.state) {
        return Err(Error::CannotReplay);
    }
    if replay(cx, vec![entry], false).await? == 0 {
        return Err(Error::Ended);
    }
    store::job(cx.tx(), op.job).await?.ok_or(Error::Missing)
}

pub(crate) async fn replay_jobs(cx: &mut Write<Memory>, op: ReplayJobs) -> Result<Replayed, Error> {
    if op.class == SETUP_CLASS {
        return Err(Error::SetupJob);
    }
    let limit = op.limit.unwrap_or(u32::MAX).clamp(1, u32::try_from(BATCH_MAX).unwrap_or(u32::MAX));
    let name = op.name.as_deref();
    if op.set_aside {
        let entries = store::set_aside(cx.tx(), (&op.service, &op.class, name), limit).await?;
        return Ok(Replayed { replayed: replay(cx, entries, true).await? });
    }
    let lanes = store::lanes_with_failed(&mut *cx.tx(), &op.service, &op.class, name).await?;
    let mut left = limit;
    for lane in lanes {
        if left == 0 {
            break;
        }
        let entries = store::entries_of_lane(cx.tx(), lane, State::Failed, left).await?;
        left -= replay(cx, entries, true).await?;
    }
    Ok(Replayed { replayed: limit - left })
}

/// Puts jobs where new ones would go; those of instances that have ended stay. Answers how many
/// will be tried again.
async fn replay(cx: &mut Write<Memory>, entries: Vec<Entry>, is_bulk: bool) -> Result<u32, Error> {
    let now = cx.now();
    let (mut jobs, mut moves) = (Vec::new(), Moves::default());
    let (mut kinds, mut lanes) = (BTreeMap::new(), BTreeMap::new());
    for mut entry in entries {
        let instance = store::instance(cx.tx(), entry.instance).await?;
        let is_setup = entry.class == SETUP_CLASS;
        let (closed, release, own) = match instance {
            Some(instance) if has_ended(&instance.state) => continue,
            Some(it) => (it.state != "open" && !is_setup, it.release, it.gate),
            None => (!is_setup, None, Gate::Open),
        };
        // One that moves holds up no other.
        if own == Gate::Refuse && is_bulk {
            continue;
        }
        let gate = gates(own, gate(cx, &entry).await?, (&entry.service, &entry.class))?;
        let kind = kind_of(&entry);
        let state = place(gate == Gate::Hold, 0, now, now);
        moves.moved(entry.lane, Some(entry.state), None);
        entry.lane = kind.lane(entry.instance);
        moves.moved(entry.lane, None, Some(state));
        let most = most(cx, &entry, release.as_ref()).await?;
        let (account, instance) = (entry.account, entry.instance);
        let lane = NewLane { kind: kind.id(), account, instance, release, closed, most };
        lanes.insert(entry.lane, lane);
        kinds.insert(kind, false);
        jobs.push((entry, state));
    }
    if jobs.is_empty() {
        return Ok(0);
    }
    store::put_kinds(cx.tx(), &kinds).await?;
    store::put_lanes(cx.tx(), &lanes).await?;
    store::replay(cx.tx(), &jobs).await?;
    store::count(cx.tx(), moves).await?;
    Ok(u32::try_from(jobs.len()).unwrap_or(u32::MAX))
}

async fn gate(cx: &mut Write<Memory>, entry: &Entry) -> Result<Gate, Error> {
    let queues = store::queues_of(cx.tx(), &entry.service).await?;
    let queue = queues.into_iter().find(|queue| queue.class == entry.class);
    Ok(queue.map_or(Gate::Open, |queue| queue.gate))
}

/// How many of its name may run at once for its instance.
async fn most(
    cx: &mut Write<Memory>,
    entry: &Entry,
    release: Option<&Digest>,
) -> Result<Option<u32>, Error> {
    let known = definitions_of(cx, &entry.service, release).await?;
    let definition = known.jobs.get(&entry.name);
    Ok(definition.and_then(|definition| definition.concurrency_per_instance))
}
