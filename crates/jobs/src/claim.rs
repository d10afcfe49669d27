//! Leases: a job is one worker's until it reports the end or its lease runs out.
//!
//! Instances take turns. A claim looks at those with work that the node's releases accept, the one
//! that was served longest ago first, and shares the free slots out among them; of an instance's
//! jobs those with the highest priority come first. Neither what waits behind a limit, a pause or a
//! date nor how much an instance has queued makes a claim look at more. Jobs of an instance with
//! processes of its own are done where those are, since its files are there; others on any node that
//! runs their service.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
    time::Duration,
};

use api::{
    Problem,
    jobs::{
        BATCH_MAX, JobDefinition, LEASES_BYTES_MAX, Lease, LeaseJobs, Leases, SETUP_CLASS, Upgrade,
    },
};
use chassis::{Call, Room, Share, Write};
use serde_json::Value;
use types::{Digest, InstanceId, Name, NodeId};

use crate::{
    Error, State as Memory, due,
    limits::Limits,
    model::{State, share},
    offers::{Able, offers},
    reports::{LEASE_SECONDS, give_back},
    store::{self, Candidate, Claimed, Kind, Lane, Moves},
};

const RELEASES_MAX: usize = 1_000;
const WAIT_MILLIS_MAX: u32 = 5_000;
/// How long a lease is without its payload and command, by and large.
const LEASE_BYTES: usize = 512;

pub(crate) async fn lease_jobs(cx: Call<Memory>, op: LeaseJobs) -> Result<Leases, Error> {
    let patience = Duration::from_millis(op.wait_millis.min(WAIT_MILLIS_MAX).into());
    let waiting = tokio::time::sleep(patience);
    tokio::pin!(waiting);
    take_back(&cx, &op).await?;
    let releases = &op.releases[..op.releases.len().min(RELEASES_MAX)];
    cx.state().workers.saw(op.node, releases, cx.now());
    let most = u32::try_from(BATCH_MAX).unwrap_or(u32::MAX);
    let (slots, setup_slots) = (op.slots.min(most), op.setup_slots.min(most));
    loop {
        // Listening before looking: a job that is queued meanwhile ends the wait.
        let change = cx.changed();
        tokio::pin!(change);
        change.as_mut().enable();
        due::make_due(cx.room()).await?;
        let mut leases = take(&cx, op.node, releases, (slots, Which::All)).await?;
        // As long as there are slots for all, set-ups have theirs among them.
        if leases.len() >= slots as usize {
            let which = (setup_slots, Which::SetUps);
            leases.extend(take(&cx, op.node, releases, which).await?);
        }
        if !leases.is_empty() {
            return Ok(Leases { leases });
        }
        tokio::select! {
            () = &mut waiting => return Ok(Leases { leases: Vec::new() }),
            () = change => {}
        }
    }
}

/// What the node should have and has not, it will never report.
async fn take_back(cx: &Call<Memory>, op: &LeaseJobs) -> Result<(), Error> {
    let holding: BTreeSet<_> = op.holding.iter().collect();
    let leases = store::leases_of(cx.db(), op.node).await?;
    let gone: BTreeMap<_, _> =
        leases.into_iter().filter(|(job, _)| !holding.contains(job)).collect();
    give_back(cx.room(), gone.keys().copied().collect(), |entry| {
        gone.get(&entry.job) == Some(&entry.token) && entry.node == Some(op.node)
    })
    .await
}

/// What slots are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    SetUps,
}

async fn take(
    cx: &Call<Memory>,
    node: NodeId,
    releases: &[Digest],
    (slots, which): (u32, Which),
) -> Result<Vec<Lease>, Error> {
    let placements = &cx.state().placements;
    if slots == 0 || placements.drains(node)? {
        return Ok(Vec::new());
    }
    let offers = offers(cx.room(), releases).await?;
    let services = offers.iter().map(|offer| offer.known.service.clone());
    let shares = services.map(|service| Ok((service.clone(), placements.share(node, &service)?)));
    let mut shares: BTreeMap<Name, Share> = shares.collect::<Result<_, Problem>>()?;
    shares.retain(|_, share| !matches!(share, Share::These(these) if these.is_empty()));
    let services: BTreeSet<Name> = shares.keys().cloned().collect();
    let mut kinds = store::kinds_with_work(cx.db(), &services).await?;
    kinds.retain(|kind| which == Which::All || kind.class == SETUP_CLASS);
    let mut able: Vec<Able<'_>> = Vec::new();
    for kind in kinds {
        able.extend(Able::of(cx.room(), &offers, kind).await?);
    }
    keep_own(cx.room(), &mut able, &shares).await?;
    // Who finds nothing does not hold up those who write.
    if able.is_empty() {
        return Ok(Vec::new());
    }
    // One claim after the other: two would only find the same lanes and wait for each other.
    let _turn = cx.state().claiming.lock().await;
    let mut write = cx.begin().await?;
    let mut limits = Limits::read(write.tx(), &services, &able).await?;
    let mut open = Vec::new();
    for (place, able) in able.iter().enumerate() {
        let kind = &able.kind;
        let free = limits.free(kind).min(slots);
        if free == 0 {
            continue;
        }
        for lane in lanes(write.tx(), able, &shares, free).await? {
            let room = lane.room.min(limits.free_for(kind, lane.instance)).min(free);
            open.push((place, Lane { room, ..lane }));
        }
    }
    let chosen = choose(&mut write, &open, slots).await?;
    let lanes: BTreeMap<i64, (&Lane, &Able<'_>)> =
        open.iter().map(|(place, lane)| (lane.id, (lane, &able[*place]))).collect();
    let (mut jobs, mut bytes) = (Vec::new(), 0);
    for candidate in chosen {
        let (lane, able) = lanes[&candidate.lane];
        let Some((offer, definition)) = able.doer(lane.release.as_ref()) else { continue };
        bytes += candidate.bytes + bytes_of(definition);
        if bytes > LEASES_BYTES_MAX && !jobs.is_empty() {
            break;
        }
        if limits.take(&able.kind, lane.instance) {
            jobs.push((candidate, &offer.release));
        }
    }
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let now = cx.now();
    let expires = now.plus(Duration::from_secs(LEASE_SECONDS.into()));
    let claimed = store::claim(write.tx(), node, &jobs, now, expires).await?;
    serve(&mut write, &claimed, |lane| lanes[&lane].0.instance).await?;
    let leases = claimed.into_iter().filter_map(|claimed| {
        let (lane, able) = lanes[&claimed.lane];
        let (_, definition) = able.doer(lane.release.as_ref())?;
        Some(lease(claimed, lane, &able.kind, definition))
    });
    Ok(write.finish(leases.collect()).await?)
}

/// How long a lease is without its payload.
fn bytes_of(definition: &JobDefinition) -> usize {
    let words = definition.command.iter().chain(definition.upgrade.iter().flatten());
    LEASE_BYTES + words.map(String::len).sum::<usize>()
}

/// The lanes of a kind that have work for whoever has this share of its service.
async fn lanes(
    on: impl db::On,
    able: &Able<'_>,
    shares: &BTreeMap<Name, Share>,
    limit: u32,
) -> Result<Vec<Lane>, Error> {
    let (kind, releases) = (able.kind.id(), able.releases());
    Ok(match shares.get(&able.kind.service) {
        Some(Share::All) => store::lanes(on, kind, &releases, limit).await?,
        Some(Share::These(instances)) => {
            store::lanes_of_these(on, kind, &releases, instances, limit).await?
        }
        None => Vec::new(),
    })
}

/// What only other nodes can do is not looked at again.
async fn keep_own(
    room: &Room<Memory>,
    able: &mut Vec<Able<'_>>,
    shares: &BTreeMap<Name, Share>,
) -> Result<(), Error> {
    let mut own = BTreeSet::new();
    for able in &*able {
        if !lanes(room.db(), able, shares, 1).await?.is_empty() {
            own.insert(able.kind.clone());
        }
    }
    able.retain(|able| own.contains(&able.kind));
    Ok(())
}

/// Shares the slots out among instances, and finds what each gets: one after the other in the order
/// of their turns, and of each the jobs with the highest priority.
async fn choose(
    write: &mut Write<Memory>,
    open: &[(usize, Lane)],
    slots: u32,
) -> Result<Vec<Candidate>, Error> {
    let mut instances: BTreeMap<InstanceId, (i64, u32)> = BTreeMap::new();
    for (_, lane) in open {
        let (turn, room) = instances.entry(lane.instance).or_insert((lane.turn, 0));
        (*turn, *room) = ((*turn).min(lane.turn), room.saturating_add(lane.room));
    }
    let mut order: Vec<(i64, InstanceId, u32)> =
        instances.into_iter().map(|(instance, (turn, room))| (turn, instance, room)).collect();
    order.sort_unstable();
    let rooms: Vec<u32> = order.iter().map(|(_, _, room)| *room).collect();
    let shares = share(&rooms, slots);
    let shares: BTreeMap<InstanceId, u32> =
        order.iter().map(|(_, instance, _)| *instance).zip(shares).collect();
    let instance_of: BTreeMap<i64, InstanceId> =
        open.iter().map(|(_, lane)| (lane.id, lane.instance)).collect();
    let mut found: BTreeMap<InstanceId, Vec<Candidate>> = BTreeMap::new();
    for (most, lanes) in by_size(open, &shares) {
        for candidate in store::candidates(write.tx(), &lanes, most).await? {
            found.entry(instance_of[&candidate.lane]).or_default().push(candidate);
        }
    }
    let mut rooms: BTreeMap<i64, u32> = open.iter().map(|(_, lane)| (lane.id, lane.room)).collect();
    let mut chosen = Vec::new();
    for (_, instance, _) in order {
        let mut candidates = found.remove(&instance).unwrap_or_default();
        candidates.sort_unstable_by_key(|one| (one.rank, one.job));
        let within = candidates.into_iter().filter(|one| {
            let room = rooms.get_mut(&one.lane).filter(|room| **room > 0);
            room.map(|room| *room -= 1).is_some()
        });
        chosen.extend(within.take(shares[&instance] as usize));
    }
    Ok(chosen)
}

/// Lanes that are asked for about as many jobs, so that few questions do for all.
fn by_size(open: &[(usize, Lane)], shares: &BTreeMap<InstanceId, u32>) -> BTreeMap<u32, Vec<i64>> {
    let mut sizes: BTreeMap<u32, (u32, Vec<i64>)> = BTreeMap::new();
    for (_, lane) in open {
        let wanted = lane.room.min(shares[&lane.instance]);
        if wanted > 0 {
            let (most, lanes) = sizes.entry(wanted.next_power_of_two()).or_default();
            *most = wanted.max(*most);
            lanes.push(lane.id);
        }
    }
    sizes.into_values().collect()
}

/// Counts what was handed out, and gives back the keys that hold until a job is begun.
async fn serve(
    write: &mut Write<Memory>,
    claimed: &[Claimed],
    instance_of: impl Fn(i64) -> InstanceId,
) -> Result<(), Error> {
    let mut moves = Moves::default();
    let mut turns: Vec<(InstanceId, i64)> = Vec::new();
    let mut served = BTreeSet::new();
    for one in claimed {
        moves.moved(one.lane, Some(State::Ready), Some(State::Running));
        let instance = instance_of(one.lane);
        if served.insert(instance) {
            let turn = write.state().turn.fetch_add(1, Ordering::SeqCst) + 1;
            turns.push((instance, turn));
        }
    }
    if turns.is_empty() {
        return Ok(());
    }
    let begun = claimed.iter().filter(|claimed| claimed.gives_key);
    let begun: Vec<_> = begun.map(|claimed| claimed.job).collect();
    store::give_keys_back(write.tx(), begun).await?;
    Ok(store::count_served(write.tx(), moves, &turns).await?)
}

fn lease(claimed: Claimed, lane: &Lane, kind: &Kind, definition: &JobDefinition) -> Lease {
    let (from, to) = (kind.version, definition.version);
    let upgrade = definition.upgrade.clone().filter(|_| from < to);
    let (command, payload) = if definition.programs.is_empty() {
        (definition.command.clone(), claimed.payload)
    } else {
        (serde_json::from_value(claimed.payload).unwrap_or_default(), Value::Null)
    };
    Lease {
        job: claimed.job,
        account: lane.account,
        instance: lane.instance,
        service: kind.service.clone(),
        release: claimed.release,
        name: kind.name.clone(),
        version: kind.version,
        attempt: claimed.attempts,
        token: claimed.token,
        payload,
        upgrade: upgrade.map(|command| Upgrade { command, from, to }),
        command,
        timeout_seconds: claimed.timeout_seconds.unwrap_or(definition.timeout_seconds),
        lease_seconds: LEASE_SECONDS,
    }
}
