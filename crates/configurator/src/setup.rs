//! The set-up: fields to fill in, once, and the jobs that follow.

use std::collections::BTreeMap;

use api::{
    Empty, Problem,
    configurator::{
        GetSetup, InstanceState, PutJobResult, PutService, Setup, SetupField, SetupStep,
        SubmitSetup,
    },
    jobs::{GetJob, JobState},
    manifest::{Field, Manifest},
};
use chassis::{Call, Room, Seal, Write};
use types::{InstanceId, JobId, Principal, Secret};

use crate::{
    Error, State,
    instances::{key_context, own},
    manifests::manifest_of,
    model::{
        instance::{asks_itself, route, takes_setup},
        setup::{after, begun, failure, new_field, planned},
    },
    store::{self, SetupJob, Stored},
};

/// Longer last words are cut.
const LAST_WORDS_MAX: usize = 300;

pub(crate) async fn get_setup(cx: Call<State>, op: GetSetup) -> Result<Setup, Error> {
    let stored = own(cx.db(), op.account, op.instance).await?;
    let manifest = manifest_of(cx.db(), &stored).await?;
    let jobs = store::setup_jobs(cx.db(), op.instance).await?;
    let mut setup = shown(&stored, &manifest, jobs, &BTreeMap::new());
    match stored.state {
        InstanceState::SettingUp => look_at_steps(&cx, &mut setup.steps).await,
        // Who is told that it is open may go there: every gateway knows.
        InstanceState::Open => cx.copies_have_all().await?,
        _ => {}
    }
    // A gateway shows the page to anybody who comes by: how far it is, but not what was printed.
    if !matches!(cx.caller.principal, Principal::User(_)) {
        setup.steps.iter_mut().for_each(|step| step.output.clear());
    }
    Ok(setup)
}

/// How far a step is, and for what it waits, is asked when somebody looks: until a job ends nobody
/// else needs to know.
async fn look_at_steps(cx: &Call<State>, steps: &mut [SetupStep]) {
    for step in steps.iter_mut().filter(|step| step.state.waits()) {
        // What cannot be asked now, or was not queued yet, is shown as it was last heard of.
        if let Ok(job) = cx.peers().call(GetJob { job: step.job }).await {
            (step.state, step.output, step.waits_for) = (job.state, job.output, job.waits_for);
        }
    }
}

pub(crate) async fn submit_setup(cx: &mut Write<State>, op: SubmitSetup) -> Result<Setup, Error> {
    let stored = own(cx.tx(), op.account, op.instance).await?;
    check_key(cx, &stored, op.key)?;
    let manifest = manifest_of(cx.tx(), &stored).await?;
    let waits = takes_setup(stored.state)?;
    let mut wrong = BTreeMap::new();
    let mut stored = stored;
    if waits && manifest.setup_path.is_some() && asks_itself(&stored) {
        stored = open(cx, stored).await?;
    } else if waits {
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
pub(crate) async fn begin(
    write: &mut Write<State>,
    stored: Stored,
    manifest: &Manifest,
    values: &BTreeMap<String, String>,
) -> Result<Stored, Error> {
    let text = serde_json::to_string(values).map_err(|_| Problem::internal())?;
    let settings = write.seal().seal(&Secret::new(text), &settings_context(stored.instance));
    let jobs = planned(write.now(), manifest);
    store::replace_setup_jobs(write.tx(), stored.instance, &jobs).await?;
    let (state, attempt) = (begun(&jobs, manifest), stored.attempt + 1);
    let schema = (manifest.schema(), manifest.schema());
    let stored =
        Stored { state, settings: Some(settings), problem: None, attempt, schema, ..stored };
    store::update_instance(write.tx(), &stored).await?;
    write.put(&route(&stored)).await?;
    Ok(stored)
}

/// Nothing of a set-up had been begun when another release came: that one does it.
async fn begin_anew(write: &mut Write<State>, stored: Stored) -> Result<(), Error> {
    let service = store::service(write.tx(), &stored.service).await?;
    let service = service.ok_or_else(|| Error::NoService(stored.service.clone()))?;
    let values = filled_in(write.seal(), &stored)?.unwrap_or_default();
    let stored = Stored { release: service.release, ..stored };
    begin(write, stored, &service.manifest, &values).await.map(drop)
}

/// Somebody says that the application has what it asked for itself.
async fn open(write: &mut Write<State>, stored: Stored) -> Result<Stored, Error> {
    let stored = Stored { state: InstanceState::Open, problem: None, ..stored };
    store::update_instance(write.tx(), &stored).await?;
    write.put(&route(&stored)).await?;
    Ok(stored)
}

/// `jobs` tells how one ended. An attempt at a set-up that was given up is of no interest any more.
pub(crate) async fn put_job_result(
    cx: &mut Write<State>,
    op: PutJobResult,
) -> Result<Empty, Error> {
    if let Some(instance) = store::instance_of_job(cx.tx(), op.job).await? {
        go_on(cx, instance, op).await?;
    } else {
        let problem = op.problem.map(|problem| with_last_words(problem, &op.output));
        let why = (problem.as_deref(), op.lost);
        let moving = store::end_move_job(cx.tx(), op.job, op.state, why).await?;
        if let Some(instance) = moving {
            cx.then(move |state| state.wakes.wake(instance));
        }
    }
    Ok(Empty {})
}

/// What a command says last is why it failed, more often than not.
fn with_last_words(problem: String, output: &str) -> String {
    let last = output.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map_or_else(
        || problem.clone(),
        |last| format!("{problem}: {}", last.chars().take(LAST_WORDS_MAX).collect::<String>()),
    )
}

/// A job that cannot even be queued has failed.
pub(crate) async fn give_up(
    room: &Room<State>,
    instance: InstanceId,
    job: JobId,
    problem: String,
) -> Result<(), Error> {
    let mut write = room.begin().await?;
    let (state, output) = (JobState::Failed, String::new());
    let failed = PutJobResult { job, state, output, problem: Some(problem), lost: false };
    go_on(&mut write, instance, failed).await?;
    Ok(write.commit().await?)
}

async fn go_on(
    write: &mut Write<State>,
    instance: InstanceId,
    ended: PutJobResult,
) -> Result<(), Error> {
    let Some(stored) = store::instance(write.tx(), instance).await? else { return Ok(()) };
    let PutJobResult { job, state, output, problem, .. } = ended;
    let name = store::end_setup_job(write.tx(), job, state, &output).await?;
    let Some(name) = name.filter(|_| stored.state == InstanceState::SettingUp) else {
        return Ok(());
    };
    if state == JobState::Dropped {
        return begin_anew(write, stored).await;
    }
    let jobs = store::setup_jobs(write.tx(), instance).await?;
    let manifest = manifest_of(write.tx(), &stored).await?;
    let Some(state) = after(&jobs, &manifest) else { return Ok(()) };
    let failed = state == InstanceState::Failed;
    let problem = failed.then(|| failure(&stored.service, &name, problem.as_deref()));
    let stored = Stored { state, problem, ..stored };
    store::update_instance(write.tx(), &stored).await?;
    write.put(&route(&stored)).await?;
    Ok(())
}

/// Refuses a release with a field that nobody can fill in any more: instances are set up once.
pub(crate) async fn check_fields(tx: &mut db::Tx, next: &PutService) -> Result<(), Error> {
    let Some(now) = store::service(&mut *tx, &next.service).await? else { return Ok(()) };
    let Some(name) = new_field(&now.manifest, &next.manifest) else { return Ok(()) };
    if store::has_set_up(tx, &next.service).await? {
        return Err(Error::NewField(name.to_owned()));
    }
    Ok(())
}

/// What was filled in; nothing before the set-up.
pub(crate) fn filled_in(
    seal: &Seal,
    stored: &Stored,
) -> Result<Option<BTreeMap<String, String>>, Error> {
    let Some(sealed) = &stored.settings else { return Ok(None) };
    let opened = seal.open(sealed, &settings_context(stored.instance))?;
    let values = serde_json::from_str(opened.reveal());
    Ok(Some(values.map_err(|_| chassis::SealError::Closed)?))
}

/// What the settings are sealed for.
fn settings_context(instance: InstanceId) -> String {
    format!("{instance}/settings")
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
    let known = |name: &String| manifest.setup.iter().any(|(field, _)| field == name);
    let unknown: Vec<&str> = wrong.keys().filter(|name| !known(name)).map(String::as_str).collect();
    let unknown = (!unknown.is_empty()).then(|| {
        format!("there is no field `{}`: leave it out and send the rest", unknown.join("`, `"))
    });
    let step = |job: SetupJob| SetupStep {
        job: job.job,
        name: job.name,
        state: job.state,
        output: job.output,
        waits_for: None,
    };
    Setup {
        state: stored.state,
        fields: manifest.setup.iter().map(field).collect(),
        path: manifest.setup_path.clone().filter(|_| asks_itself(stored)),
        steps: jobs.into_iter().map(step).collect(),
        problem: unknown.or_else(|| stored.problem.clone()),
    }
}
