//! Making instances what they should be.

use std::{collections::BTreeSet, time::Duration};

use api::{configurator::InstanceState, jobs::WithdrawSetup};
use chassis::{Next, Room, pause};

use crate::{
    Error, State,
    databases::make_database,
    model::{instance::route, setup::queued},
    setup,
    store::{self, Stored, Waiting},
};

const AT_ONCE: u32 = 100;
/// When to look again whether what was begun has ended.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Makes the databases that are missing. A create that is repeated after a crash changes nothing,
/// and one that fails is due again later, so it holds up no other.
pub(crate) async fn create(room: Room<State>) -> Result<Next, Error> {
    let first = store::next_to_create(room.db()).await?;
    if let Some(rest) = Next::rest(first, room.now()) {
        return Ok(rest);
    }
    for (stored, tries) in store::instances_to_create(room.db(), room.now(), AT_ONCE).await? {
        let instance = stored.instance;
        if let Err(problem) = create_one(&room, stored).await {
            tracing::error!(%instance, %problem, "the instance cannot be made yet");
            let due = room.now().plus(pause(tries));
            store::try_to_create_later(room.db(), instance, due).await?;
        }
    }
    Ok(Next::Now)
}

/// What has nothing to be asked for is set up at once.
async fn create_one(room: &Room<State>, stored: Stored) -> Result<(), Error> {
    let service = store::service(room.db(), &stored.service).await?;
    let manifest = service.ok_or_else(|| Error::NoService(stored.service.clone()))?.manifest;
    let has_database = manifest.database.is_some();
    if has_database {
        make_database(room, &stored).await?;
    }
    let mut write = room.begin().await?;
    let known = store::instance(write.tx(), stored.instance).await?;
    let Some(known) = known.filter(|known| known.state == InstanceState::Creating) else {
        return Ok(());
    };
    let known = Stored { has_database, ..known };
    if manifest.setup.is_empty() {
        setup::begin(&mut write, known, &manifest, &[].into()).await?;
    } else {
        let known = Stored { state: InstanceState::AwaitingSetup, ..known };
        store::update_instance(write.tx(), &known).await?;
        write.put(&route(&known)).await?;
    }
    Ok(write.commit().await?)
}

/// Queues the jobs of set-ups. What was told is not looked at again; how a job ends is told by
/// `jobs`. What cannot be taken now is due again later, and holds up nobody else's set-up.
pub(crate) async fn queue_jobs(room: Room<State>) -> Result<Next, Error> {
    let first = store::next_to_queue(room.db()).await?;
    if let Some(rest) = Next::rest(first, room.now()) {
        return Ok(rest);
    }
    let mut late = BTreeSet::new();
    for job in store::jobs_to_queue(room.db(), room.now(), AT_ONCE).await? {
        let (instance, tries) = (job.instance, job.tries);
        if late.contains(&instance) {
            continue;
        }
        if let Err(problem) = queue(&room, job).await {
            tracing::warn!(%instance, %problem, "a set-up cannot be queued yet");
            late.insert(instance);
            let due = room.now().plus(pause(tries));
            store::try_to_queue_later(room.db(), instance, due).await?;
        }
    }
    Ok(Next::Now)
}

async fn queue(room: &Room<State>, waiting: Waiting) -> Result<(), Error> {
    let Waiting { instance, job, .. } = &waiting;
    let Some(stored) = store::instance(room.db(), *instance).await? else { return Ok(()) };
    let jobs = store::setup_jobs(room.db(), *instance).await?;
    match room.peers().call(queued(&stored, &waiting, &jobs)).await {
        Ok(_) => Ok(store::set_queued(room.db(), job.job).await?),
        Err(problem) if problem.is_transient() => Err(problem.into()),
        Err(problem) => setup::give_up(room, *instance, job.job, problem.detail).await,
    }
}

/// A set-up is done by the release that its instance is on. When another one becomes the current one
/// before anything of it was begun, it is withdrawn, and begun anew.
pub(crate) async fn withdraw_setups(room: Room<State>) -> Result<Next, Error> {
    let behind = store::set_ups_behind(room.db(), AT_ONCE).await?;
    for instance in &behind {
        let jobs = store::setup_jobs(room.db(), *instance).await?;
        let jobs = jobs.into_iter().map(|job| job.job).collect();
        room.peers().call(WithdrawSetup { instance: *instance, jobs }).await?;
    }
    Ok(if behind.is_empty() { Next::Idle } else { Next::In(LOOK_AGAIN) })
}
