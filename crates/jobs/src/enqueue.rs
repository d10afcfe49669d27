//! New jobs: checked, and queued all or none.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::jobs::{
    BATCH_MAX, COMMAND_CLASS, EnqueueJobs, Enqueued, Gate, JobDefinition, NewJob, SETUP_CLASS,
    Until,
};
use chassis::Write;
use types::{AccountId, Digest, InstanceId, JobId, Name, Timestamp};

use crate::{
    Error, State as Memory,
    fates::{doom, settle},
    model::{State, place, problem_of},
    releases::{Known, definitions_of},
    store::{self, Entry, Keyed, Kind, Moves, NewLane, NewRow, has_ended},
};

pub(crate) async fn enqueue_jobs(
    cx: &mut Write<Memory>,
    op: EnqueueJobs,
) -> Result<Enqueued, Error> {
    if !(1..=BATCH_MAX).contains(&op.jobs.len()) {
        return Err(Error::Batch(op.jobs.len()));
    }
    let now = cx.now();
    let mut ids: Vec<JobId> = op.jobs.iter().map(|_| JobId::new(now)).collect();
    // Those of one moment are told apart by chance; in their order they run as they were sent.
    ids.sort_unstable();
    let jobs = ids.into_iter().zip(op.jobs).collect();
    Ok(Enqueued { jobs: enqueue(cx, op.account, op.instance, jobs).await? })
}

/// Queues jobs of an instance under these ids; answers the id of each, which is another's where a
/// key says that it is there already.
pub(crate) async fn enqueue(
    cx: &mut Write<Memory>,
    account: AccountId,
    instance: InstanceId,
    jobs: Vec<(JobId, NewJob)>,
) -> Result<Vec<JobId>, Error> {
    let to = target(cx, account, instance).await?;
    let definitions = definitions_of(cx, &to.service, to.release.as_ref()).await?;
    let planned = plan(cx, &to, &definitions, jobs).await?;
    let ids: Vec<JobId> = planned.iter().map(|planned| planned.row.entry.job).collect();
    let owners = take_keys(cx, &to, &planned).await?;
    let owner = |job: &JobId| owners.get(job).copied().unwrap_or(*job);
    let new = planned.into_iter().filter(|new| owner(&new.row.entry.job) == new.row.entry.job);
    insert(cx, &to, new.collect()).await?;
    Ok(ids.iter().map(owner).collect())
}

/// Whose jobs they are.
pub(crate) struct Target {
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) service: Name,
    /// By which release they are to be done, if that was told.
    pub(crate) release: Option<Digest>,
    /// Whether they may not run now.
    pub(crate) closed: bool,
    /// What becomes of them, whatever the gates of queues say.
    pub(crate) gate: Gate,
}

/// Whose jobs are to be queued, if anything is still done for it.
pub(crate) async fn target(
    cx: &mut Write<Memory>,
    account: AccountId,
    instance: InstanceId,
) -> Result<Target, Error> {
    let known = store::instance(cx.tx(), instance).await?;
    let known = known.filter(|known| known.account == account).ok_or(Error::NoInstance)?;
    if has_ended(&known.state) {
        return Err(Error::Ended);
    }
    let (closed, gate) = (known.state != "open", known.gate);
    Ok(Target { account, instance, service: known.service, release: known.release, closed, gate })
}

/// A job that is to be queued.
pub(crate) struct Planned {
    pub(crate) row: NewRow,
    most: Option<u32>,
    key: Option<(String, Option<Timestamp>)>,
    after: BTreeSet<JobId>,
    place: usize,
}

async fn plan(
    cx: &mut Write<Memory>,
    to: &Target,
    known: &Known,
    jobs: Vec<(JobId, NewJob)>,
) -> Result<Vec<Planned>, Error> {
    let queues = store::queues_of(cx.tx(), &to.service).await?;
    let gate_of = |class: &str| {
        queues.iter().find(|queue| queue.class == class).map_or(Gate::Open, |queue| queue.gate)
    };
    let now = cx.now();
    let planned = jobs.into_iter().zip(1..).map(|((id, job), place)| {
        let definition = definition(to, known, &job, place)?;
        let class = definition.class.as_str();
        let gate = gates(to.gate, gate_of(class), (&to.service, class))?;
        planned(to, definition, (id, job), place, gate == Gate::Hold, now)
    });
    planned.collect()
}

/// What becomes of new jobs by the gates of their instance and of their queue, neither of which
/// refuses them.
pub(crate) fn gates(
    instance: Gate,
    queue: Gate,
    (service, class): (&Name, &str),
) -> Result<Gate, Error> {
    match (instance, queue) {
        (Gate::Refuse, _) => Err(Error::Moves),
        (_, Gate::Refuse) => Err(Error::Gate { service: service.clone(), class: class.to_owned() }),
        (Gate::Hold, _) | (_, Gate::Hold) => Ok(Gate::Hold),
        (Gate::Open, Gate::Open) => Ok(Gate::Open),
    }
}

/// What the release of the instance says of a job that may be queued.
fn definition<'k>(
    to: &Target,
    known: &'k Known,
    job: &NewJob,
    place: usize,
) -> Result<&'k JobDefinition, Error> {
    let service = || to.service.clone();
    let name = || job.name.clone();
    let own = [SETUP_CLASS, COMMAND_CLASS];
    let definition = known.jobs.get(&job.name).filter(|known| !own.contains(&known.class.as_str()));
    let Some(definition) = definition else {
        let others = known.jobs.iter().filter(|(_, known)| !own.contains(&known.class.as_str()));
        let others: Vec<String> = others.map(|(name, _)| format!("`{name}`")).collect();
        let known = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        return Err(Error::NoSuchJob { place, name: name(), service: service(), known });
    };
    let (version, newest) = (job.version.unwrap_or(1), definition.newest.max(definition.version));
    if version > newest {
        return Err(Error::Version { place, name: name(), version, newest, service: service() });
    }
    Ok(definition)
}

pub(crate) fn planned(
    to: &Target,
    definition: &JobDefinition,
    (id, job): (JobId, NewJob),
    place_in_request: usize,
    held: bool,
    now: Timestamp,
) -> Result<Planned, Error> {
    // A NUL is written as an escape, so no text that a database could not hold is in there.
    let payload = job.payload.to_string();
    if let Some(problem) = problem_of(&job, &payload) {
        return Err(Error::NewJob { place: place_in_request, problem });
    }
    let delay = Duration::from_secs(job.delay_seconds.unwrap_or(0).into());
    let not_before = job.not_before.unwrap_or_else(|| now.plus(delay));
    let key = job.unique.as_ref().map(|unique| (unique.key.clone(), expiry(unique.until, now)));
    let row = NewRow {
        entry: Entry {
            attempts_max: job.attempts.unwrap_or(definition.attempts),
            has_key: key.is_some(),
            not_before,
            state: place(held, 0, not_before, now),
            priority: job.priority.unwrap_or(definition.priority),
            ..entry(to, &definition.class, &job.name, job.version.unwrap_or(1), id, now)
        },
        payload,
        timeout_seconds: job.timeout_seconds,
        unique_until: job.unique.map(|unique| match unique.until {
            Until::Started => "started",
            Until::Ended => "ended",
            Until::Seconds(_) => "seconds",
        }),
    };
    let most = definition.concurrency_per_instance;
    let after = job.after.into_iter().collect();
    Ok(Planned { row, most, key, after, place: place_in_request })
}

fn expiry(until: Until, now: Timestamp) -> Option<Timestamp> {
    match until {
        Until::Seconds(seconds) => Some(now.plus(Duration::from_secs(seconds.into()))),
        Until::Started | Until::Ended => None,
    }
}

fn entry(to: &Target, class: &str, name: &str, version: u32, job: JobId, now: Timestamp) -> Entry {
    let kind = Kind {
        service: to.service.clone(),
        class: class.to_owned(),
        name: name.to_owned(),
        version,
    };
    Entry {
        job,
        account: to.account,
        instance: to.instance,
        lane: kind.lane(to.instance),
        service: kind.service,
        class: kind.class,
        name: kind.name,
        version,
        priority: 0,
        state: State::Ready,
        blocked_by: 0,
        is_awaited: false,
        has_key: false,
        not_before: now,
        attempts: 0,
        attempts_max: 1,
        lost: 0,
        token: 0,
        node: None,
        release: None,
        lease_expires: None,
        cancelled: false,
        stopped: false,
        started: None,
    }
}

/// Answers, for each job whose key is another's, whose it is.
async fn take_keys(
    cx: &mut Write<Memory>,
    to: &Target,
    planned: &[Planned],
) -> Result<BTreeMap<JobId, JobId>, Error> {
    let mut wanted = Keyed::new();
    let word = |new: &Planned| {
        new.key.as_ref().map(|(word, expires)| {
            ((new.row.entry.name.clone(), word.clone()), (new.row.entry.job, *expires))
        })
    };
    for (key, taken) in planned.iter().filter_map(word) {
        // Of two in one request the first counts.
        wanted.entry(key).or_insert(taken);
    }
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let now = cx.now();
    let owners = store::take_keys(cx.tx(), to.instance, &wanted, now).await?;
    let owned = planned.iter().filter_map(word);
    Ok(owned.filter_map(|(key, (job, _))| Some((job, *owners.get(&key)?))).collect())
}

/// Queues them, each behind the jobs that it comes after.
pub(crate) async fn insert(
    cx: &mut Write<Memory>,
    to: &Target,
    planned: Vec<Planned>,
) -> Result<(), Error> {
    if planned.is_empty() {
        return Ok(());
    }
    let now = cx.now();
    let earlier: BTreeSet<JobId> = planned.iter().flat_map(|new| &new.after).copied().collect();
    let earlier = store::entries(cx.tx(), earlier).await?;
    let earlier: BTreeMap<JobId, Entry> =
        earlier.into_iter().map(|entry| (entry.job, entry)).collect();
    let (mut rows, mut waits, mut doomed) = (vec![], vec![], vec![]);
    let (mut kinds, mut lanes, mut moves) = (BTreeMap::new(), BTreeMap::new(), Moves::default());
    for Planned { mut row, most, after, place: at, .. } in planned {
        let entry = &mut row.entry;
        for before in after {
            let known = earlier.get(&before).filter(|known| known.instance == to.instance);
            let known = known.ok_or(Error::NoneBefore { place: at, earlier: before })?;
            match known.state {
                State::Succeeded => {}
                ended if ended.has_ended() => doomed.push((entry.job, known.name.clone(), ended)),
                _ => {
                    entry.blocked_by += 1;
                    waits.push((before, entry.job));
                }
            }
        }
        entry.state = place(entry.state == State::Held, entry.blocked_by, entry.not_before, now);
        let kind = kind_of(entry);
        let closed = to.closed && kind.class != SETUP_CLASS;
        let (account, instance, release) = (to.account, to.instance, to.release.clone());
        let lane = NewLane { kind: kind.id(), account, instance, release, closed, most };
        lanes.insert(entry.lane, lane);
        kinds.insert(kind, false);
        moves.moved(entry.lane, None, Some(entry.state));
        rows.push(row);
    }
    store::put_kinds(cx.tx(), &kinds).await?;
    store::put_lanes(cx.tx(), &lanes).await?;
    store::insert_jobs(cx.tx(), to.instance, &rows, now).await?;
    store::insert_awaited(cx.tx(), &waits).await?;
    store::count(cx.tx(), moves).await?;
    let doomed: BTreeMap<JobId, (String, State)> =
        doomed.into_iter().map(|(job, name, state)| (job, (name, state))).collect();
    let doomed = rows.into_iter().filter_map(|row| {
        let (earlier, state) = doomed.get(&row.entry.job)?;
        Some(doom(row.entry, earlier, *state))
    });
    settle(cx, doomed.collect()).await
}

/// The kind of a job.
pub(crate) fn kind_of(entry: &Entry) -> Kind {
    Kind {
        service: entry.service.clone(),
        class: entry.class.clone(),
        name: entry.name.clone(),
        version: entry.version,
    }
}
