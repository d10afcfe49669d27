//! The set-up: which jobs it has, and what follows when one has ended.

use std::time::Duration;

use api::{
    configurator::InstanceState,
    jobs::{JobState, PutJob},
    manifest::Manifest,
};
use types::{JobId, Name, Timestamp};

use crate::store::{SetupJob, Stored, Waiting};

/// In their order.
const JOBS: [&str; 2] = ["migrate", "seed"];

/// The jobs of a set-up, in their order. Their ids say it too.
pub(crate) fn planned(now: Timestamp, manifest: &Manifest) -> Vec<SetupJob> {
    let has = |name: &&str| has_command(manifest, name);
    let jobs = JOBS.into_iter().filter(has).zip(0..).map(|(name, position)| SetupJob {
        job: JobId::new(now.plus(Duration::from_millis(position))),
        name: name.to_owned(),
        state: JobState::Ready,
        output: String::new(),
    });
    jobs.collect()
}

fn has_command(manifest: &Manifest, name: &str) -> bool {
    manifest.database.as_ref().is_some_and(|database| match name {
        "migrate" => database.migrate.is_some(),
        "seed" => database.seed.is_some(),
        _ => false,
    })
}

/// The job as it is queued now, behind the one of `jobs` that stands before it and has not
/// succeeded.
pub(crate) fn queued(stored: &Stored, waiting: &Waiting, jobs: &[SetupJob]) -> PutJob {
    let Waiting { instance, position, job, .. } = waiting;
    let before = jobs.iter().take(*position).next_back();
    PutJob {
        job: job.job,
        account: stored.account,
        instance: *instance,
        service: stored.service.clone(),
        release: stored.release.clone(),
        name: job.name.clone(),
        after: before.filter(|before| before.state != JobState::Succeeded).map(|before| before.job),
        attempts: None,
    }
}

/// With which state a set-up begins: what has no jobs has done them.
pub(crate) const fn begun(jobs: &[SetupJob], manifest: &Manifest) -> InstanceState {
    if jobs.is_empty() { done(manifest) } else { InstanceState::SettingUp }
}

/// What an instance is whose jobs are done: open, unless the application asks for the rest itself.
const fn done(manifest: &Manifest) -> InstanceState {
    if manifest.setup_path.is_some() { InstanceState::AwaitingSetup } else { InstanceState::Open }
}

/// What an instance that is being set up becomes when its jobs are so far: with the last one that
/// succeeds they are done, with the first one that fails the set-up has failed.
pub(crate) fn after(jobs: &[SetupJob], manifest: &Manifest) -> Option<InstanceState> {
    if jobs.iter().any(|job| job.state.has_ended() && job.state != JobState::Succeeded) {
        return Some(InstanceState::Failed);
    }
    let all = jobs.iter().all(|job| job.state == JobState::Succeeded);
    all.then(|| done(manifest))
}

/// Says who can do what.
pub(crate) fn failure(service: &Name, job: &str, why: Option<&str>) -> String {
    let why = why.unwrap_or("nobody knows why");
    format!(
        "`{job}` failed: {why}. If one of the values is the cause, correct it and send the set-up \
         again. Otherwise only the publisher of `{service}` can solve this: show them the output, \
         and send the set-up again afterwards. Failed attempts are not billed"
    )
}

/// A field of `next` that must be filled in and that `now` has not: who is set up already was never
/// asked for it, since instances are set up once.
pub(crate) fn new_field<'m>(now: &Manifest, next: &'m Manifest) -> Option<&'m str> {
    let known = |name: &str| now.setup.iter().any(|(field, _)| field == name);
    let mut fields = next.setup.iter();
    let new = fields.find(|(name, field)| field.default.is_none() && !known(name));
    new.map(|(name, _)| name.as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::instance::tests::kept;
    use proptest::prelude::*;

    /// A manifest with `more` after what each must have.
    pub(crate) fn manifest(more: &str) -> Manifest {
        let text = format!("{MANIFEST}{more}");
        Manifest::parse("mandate.toml", &text).unwrap_or_else(|faults| panic!("{faults}"))
    }

    const MANIFEST: &str = r#"
[service]
name = "forum"
title = "Forum"

[run]
command = ["./serve"]

[sizes]
small = { title = "Small", cpu = 0.5, memory = "256MiB" }

"#;

    const DATABASE: &str = "[database]\nengines = [\"sqlite\"]\nmigrate = [\"./migrate\"]\n";

    fn states() -> impl Strategy<Value = Vec<JobState>> {
        let states = [
            JobState::Ready,
            JobState::Running,
            JobState::Succeeded,
            JobState::Failed,
            JobState::Cancelled,
        ];
        prop::collection::vec(prop::sample::select(states.to_vec()), 0..4)
    }

    fn jobs(states: &[JobState]) -> Vec<SetupJob> {
        let mut planned = planned(Timestamp::from_micros(0), &manifest(DATABASE));
        let job = planned.remove(0);
        states.iter().map(|state| SetupJob { state: *state, ..job.clone() }).collect()
    }

    proptest! {
        #[test]
        fn a_set_up_ends_as_its_jobs_do(states in states()) {
            let after = after(&jobs(&states), &manifest(""));
            let has_failed = |state: &JobState| {
                matches!(state, JobState::Failed | JobState::Cancelled)
            };
            let failed = states.iter().any(has_failed);
            let open = states.iter().all(|state| *state == JobState::Succeeded);
            prop_assert_eq!(after == Some(InstanceState::Failed), failed);
            prop_assert_eq!(after == Some(InstanceState::Open), open);
            prop_assert_eq!(after.is_none(), !failed && !open);
        }
    }

    #[test]
    fn what_has_no_jobs_is_open() {
        let now = Timestamp::from_micros(0);
        assert_eq!(begun(&planned(now, &manifest("")), &manifest("")), InstanceState::Open);
        let own = manifest("[setup]\npath = \"/install\"\n");
        assert_eq!(begun(&planned(now, &own), &own), InstanceState::AwaitingSetup);
        let both = manifest(&format!("{DATABASE}seed = [\"./seed\"]\n"));
        let jobs = planned(now, &both);
        assert_eq!(begun(&jobs, &both), InstanceState::SettingUp);
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!((names, jobs[0].job < jobs[1].job), (vec!["migrate", "seed"], true));
    }

    #[test]
    fn each_job_waits_for_the_one_before_it() {
        let both = manifest(&format!("{DATABASE}seed = [\"./seed\"]\n"));
        let mut jobs = planned(Timestamp::from_micros(0), &both);
        let stored = kept(InstanceState::SettingUp);
        let after = |jobs: &[SetupJob], position: usize| {
            let (instance, job) = (stored.instance, jobs[position].clone());
            queued(&stored, &Waiting { instance, position, job, tries: 0 }, jobs).after
        };
        assert_eq!((after(&jobs, 0), after(&jobs, 1)), (None, Some(jobs[0].job)));
        jobs[0].state = JobState::Succeeded;
        assert_eq!(after(&jobs, 1), None, "it has been done");
    }

    #[test]
    fn only_a_new_field_that_must_be_filled_in_is_refused() {
        let field = |more: &str| {
            format!("[setup]\ntitle = {{ label = \"Title\", type = \"text\"{more} }}\n")
        };
        let (none, required) = (manifest(""), manifest(&field("")));
        let with_default = manifest(&field(", default = \"a\""));
        assert_eq!(new_field(&none, &required), Some("title"));
        assert_eq!(new_field(&none, &with_default), None);
        assert_eq!(new_field(&required, &required), None);
        assert_eq!(new_field(&with_default, &required), None);
    }
}
