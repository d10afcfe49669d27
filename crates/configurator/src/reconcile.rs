//! Making instances what they should be.

use api::{
    configurator::InstanceState,
    jobs::{GetJob, JobState, PutJob},
};
use chassis::{Next, Room};

use crate::{
    Error, State,
    environment::password,
    instances::route,
    store::{self, SetupJob, Stored},
};

/// A migration of a large database takes its time.
const TIMEOUT_SECONDS: u32 = 900;
const ATTEMPTS_MAX: u32 = 3;

/// Makes the databases that are missing. A create that is repeated after a crash changes nothing.
pub(crate) async fn create(room: Room<State>) -> Result<Next, Error> {
    let mut failed = None;
    let creating = store::instances_in(room.db(), InstanceState::Creating).await?;
    for stored in creating {
        let secret = password(&room, stored.instance);
        let made = room.state().engine.create(&stored.instance.to_string(), &secret).await;
        if let Err(cause) = made {
            tracing::error!(instance = %stored.instance, %cause, "the database cannot be made yet");
            failed = Some(Error::from(cause));
            continue;
        }
        advance(&room, stored, InstanceState::AwaitingSetup, None).await?;
    }
    failed.map_or(Ok(Next::Idle), Err)
}

/// Sees the set-up jobs through.
pub(crate) async fn set_up(room: Room<State>) -> Result<Next, Error> {
    let setting_up = store::instances_in(room.db(), InstanceState::SettingUp).await?;
    let (mut waiting, mut failed) = (false, None);
    for stored in setting_up {
        match set_one_up(&room, stored).await {
            Ok(done) => waiting |= !done,
            Err(problem) => failed = Some(problem),
        }
    }
    match failed {
        Some(problem) => Err(problem),
        None if waiting => Ok(Next::Soon),
        None => Ok(Next::Idle),
    }
}

/// Answers whether there is nothing left to wait for.
async fn set_one_up(room: &Room<State>, stored: Stored) -> Result<bool, Error> {
    let service = store::service(room.db(), &stored.service).await?;
    let service = service.ok_or_else(|| Error::NoService(stored.service.clone()))?;
    let jobs = store::setup_jobs(room.db(), stored.instance).await?;
    let mut before = None;
    for (position, job) in jobs.iter().enumerate() {
        let put = PutJob {
            job: job.job,
            account: stored.account,
            instance: stored.instance,
            service: stored.service.clone(),
            release: service.release.clone(),
            name: job.name.clone(),
            version: 1,
            command: job.command.clone(),
            after: before.replace(job.job),
            timeout_seconds: TIMEOUT_SECONDS,
            attempts_max: ATTEMPTS_MAX,
        };
        let seen = match job.state {
            JobState::Succeeded => continue,
            // Put until it is there; then it is only looked at.
            JobState::Queued => room.peers().call(put).await?,
            _ => room.peers().call(GetJob { job: job.job }).await?,
        };
        let seen = SetupJob { state: seen.state, output: seen.output, ..job.clone() };
        if seen != *job {
            store::update_setup_job(room.db(), stored.instance, position, &seen).await?;
        }
        match seen.state {
            JobState::Succeeded => {}
            JobState::Queued | JobState::Running => return Ok(false),
            JobState::Failed => {
                let problem = format!(
                    "`{}` failed; read what it printed, mend it and send the set-up again",
                    seen.name
                );
                advance(room, stored, InstanceState::Failed, Some(problem)).await?;
                return Ok(true);
            }
        }
    }
    advance(room, stored, InstanceState::Open, None).await?;
    Ok(true)
}

/// Takes the instance to its next state, unless somebody else has meanwhile.
async fn advance(
    room: &Room<State>,
    seen: Stored,
    state: InstanceState,
    problem: Option<String>,
) -> Result<(), Error> {
    let mut write = room.begin().await?;
    let stored = store::instance(write.tx(), seen.instance).await?;
    let Some(stored) = stored.filter(|stored| stored.state == seen.state) else { return Ok(()) };
    let stored = Stored { state, problem, ..stored };
    store::update_instance(write.tx(), &stored).await?;
    write.put(&route(&stored)).await?;
    Ok(write.commit().await?)
}
