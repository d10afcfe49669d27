//! The set-up: fields to fill in, once, and the jobs that follow.

use std::collections::BTreeMap;

use api::{
    Problem,
    configurator::{GetSetup, InstanceState, Setup, SetupField, SetupStep, SubmitSetup},
    jobs::JobState,
    manifest::{Field, Manifest},
};
use chassis::{Call, Write};
use types::{InstanceId, JobId, Principal, Secret};

use crate::{
    Error, State,
    instances::{key_context, own, route},
    store::{self, SetupJob, Stored},
};

pub(crate) async fn get_setup(cx: Call<State>, op: GetSetup) -> Result<Setup, Error> {
    let stored = own(cx.db(), op.account, op.instance).await?;
    let manifest = manifest_of(cx.db(), &stored).await?;
    let jobs = store::setup_jobs(cx.db(), op.instance).await?;
    let mut setup = shown(&stored, &manifest, jobs, &BTreeMap::new());
    // A gateway shows the page to anybody who comes by: how far it is, but not what was printed.
    if !matches!(cx.caller.principal, Principal::User(_)) {
        setup.steps.iter_mut().for_each(|step| step.output.clear());
    }
    Ok(setup)
}

pub(crate) async fn submit_setup(cx: &mut Write<State>, op: SubmitSetup) -> Result<Setup, Error> {
    let stored = own(cx.tx(), op.account, op.instance).await?;
    check_key(cx, &stored, op.key)?;
    let manifest = manifest_of(cx.tx(), &stored).await?;
    let waits = match stored.state {
        InstanceState::Creating => return Err(Error::Creating),
        InstanceState::AwaitingSetup | InstanceState::Failed => true,
        // Sent twice: the first one counts.
        InstanceState::SettingUp | InstanceState::Open => false,
    };
    let mut wrong = BTreeMap::new();
    let mut stored = stored;
    if waits {
        let values =
            op.values.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        match manifest.check_setup(&values.collect()) {
            Ok(values) => stored = begin(cx, stored, &manifest, &values).await?,
            Err(problems) => wrong = problems,
        }
    }
    let jobs = store::setup_jobs(cx.tx(), op.instance).await?;
    Ok(shown(&stored, &manifest, jobs, &wrong))
}

/// A gateway must show the key that came with the page's address; whoever was granted the
/// operation needs none.
fn check_key(cx: &Write<State>, stored: &Stored, shown: Option<Secret>) -> Result<(), Error> {
    if matches!(cx.caller.principal, Principal::User(_)) {
        return Ok(());
    }
    let key = cx.seal().open(&stored.setup_key, &key_context(stored.instance))?;
    // Compared by digest, so that the time it takes says nothing about the key.
    let same = |shown: &Secret| {
        types::Digest::of(shown.reveal().as_bytes()) == types::Digest::of(key.reveal().as_bytes())
    };
    if shown.as_ref().is_some_and(same) { Ok(()) } else { Err(Error::SetupKey) }
}

/// Queues the jobs in the transaction that takes the values, so that they are queued once.
async fn begin(
    cx: &mut Write<State>,
    stored: Stored,
    manifest: &Manifest,
    values: &BTreeMap<String, String>,
) -> Result<Stored, Error> {
    let text = serde_json::to_string(values).map_err(|_| Problem::internal())?;
    let settings = cx.seal().seal(&Secret::new(text), &settings_context(stored.instance));
    let attempt = stored.attempt + 1;
    let jobs = planned(stored.instance, attempt, manifest);
    store::replace_setup_jobs(cx.tx(), stored.instance, &jobs).await?;
    let stored = Stored {
        state: InstanceState::SettingUp,
        settings: Some(settings),
        problem: None,
        attempt,
        ..stored
    };
    store::update_instance(cx.tx(), &stored).await?;
    cx.put(&route(&stored)).await?;
    Ok(stored)
}

/// What the settings are sealed for.
pub(crate) fn settings_context(instance: InstanceId) -> String {
    format!("{instance}/settings")
}

fn planned(instance: InstanceId, attempt: u64, manifest: &Manifest) -> Vec<SetupJob> {
    let Some(database) = &manifest.database else { return Vec::new() };
    let commands = [("migrate", &database.migrate), ("seed", &database.seed)];
    let queued = |(name, command): (&str, &Option<Vec<String>>)| {
        let parts = ["setup", &instance.to_string(), &attempt.to_string(), name];
        Some(SetupJob {
            job: JobId::named(&parts),
            name: name.to_owned(),
            command: command.clone()?,
            state: JobState::Queued,
            output: String::new(),
        })
    };
    commands.into_iter().filter_map(queued).collect()
}

async fn manifest_of(on: impl db::On, stored: &Stored) -> Result<Manifest, Error> {
    let service = store::service(on, &stored.service).await?;
    Ok(service.ok_or_else(|| Error::NoService(stored.service.clone()))?.manifest)
}

fn shown(
    stored: &Stored,
    manifest: &Manifest,
    jobs: Vec<SetupJob>,
    wrong: &BTreeMap<String, String>,
) -> Setup {
    let field = |(name, field): &(String, Field)| SetupField {
        name: name.clone(),
        field: field.clone(),
        problem: wrong.get(name).cloned(),
    };
    let step = |job: SetupJob| SetupStep {
        job: job.job,
        name: job.name,
        state: job.state,
        output: job.output,
    };
    Setup {
        state: stored.state,
        fields: manifest.setup.iter().map(field).collect(),
        steps: jobs.into_iter().map(step).collect(),
        problem: stored.problem.clone(),
    }
}
