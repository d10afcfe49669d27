//! What a release says of its jobs, and whose instances there are.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cron, Digest, InstanceId, Name, TimeZone};

use super::{COMMAND_CLASS, COMMAND_JOB, DEFAULT_CLASS, Gate, SETUP_CLASS};
use crate::manifest::{JobCommand, Manifest, Missed, migration_timeout};

/// Keeps what a release says of its jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutJobs {
    /// Which service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// What its workers can run, by name.
    pub jobs: BTreeMap<String, JobDefinition>,
    /// The number of the shape of databases that it needs; 0 if it reads none.
    #[serde(default)]
    pub schema: u32,
    /// Whether releases before it can go on with that shape.
    #[serde(default)]
    pub compatible: bool,
}

/// What a release says of jobs of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobDefinition {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// If not empty, the programs one of which each job names with arguments of its own; then these
    /// are run, and not the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// The version of the payloads that the command reads.
    pub version: u32,
    /// The oldest version that it accepts.
    pub oldest: u32,
    /// The newest version that it accepts.
    pub newest: u32,
    /// What turns an older payload into one of `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Vec<String>>,
    /// In which of the service's queues they wait.
    pub class: String,
    /// Their priority, unless one says otherwise.
    pub priority: i32,
    /// How often one is tried, unless it says otherwise.
    pub attempts: u32,
    /// The pause after the first attempt; doubled after each.
    pub backoff_seconds: u32,
    /// For how long one may run, unless it says otherwise.
    pub timeout_seconds: u32,
    /// How many of all instances may run at once; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How many of one instance may run at once; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_per_instance: Option<u32>,
    /// For how long one that has ended is kept, with what it printed and came to.
    pub keep_seconds: u32,
    /// When one is queued for each instance by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

/// When a job is queued by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// The five fields of cron.
    pub cron: Cron,
    /// By whose clocks.
    pub time_zone: TimeZone,
    /// What becomes of a run whose time has passed.
    pub missed: Missed,
    /// Instances' runs begin within so long, each always at the same moment of it.
    pub spread_seconds: u32,
}

impl PutJobs {
    /// What a manifest says of its jobs, those of the set-up included.
    pub fn of(service: Name, release: Digest, manifest: &Manifest) -> Self {
        let database = manifest.database.as_ref();
        let timeout_seconds = database.map_or_else(migration_timeout, |it| it.timeout_seconds);
        let of_setup = |name: &str, command: &Option<Vec<String>>| {
            let command = command.clone()?;
            let class = SETUP_CLASS.to_owned();
            let definition = JobDefinition::of(command);
            Some((name.to_owned(), JobDefinition { class, timeout_seconds, ..definition }))
        };
        let setup = database.into_iter().flat_map(|database| {
            [of_setup("migrate", &database.migrate), of_setup("seed", &database.seed)]
        });
        let setup = setup.chain([of_setup("check", &manifest.run.check)]);
        let commands = JobDefinition::of_commands(&manifest.run.commands);
        let commands = commands.map(|definition| (COMMAND_JOB.to_owned(), definition));
        let jobs = manifest.jobs.iter();
        let jobs = jobs.map(|(name, job)| (name.clone(), JobDefinition::of_manifest(job)));
        let compatible = database.is_some_and(|it| it.compatible);
        let jobs = setup.flatten().chain(commands).chain(jobs).collect();
        Self { service, release, jobs, schema: manifest.schema(), compatible }
    }
}

impl JobDefinition {
    /// Jobs that run `command`, and for the rest what holds unless a manifest says otherwise.
    pub fn of(command: Vec<String>) -> Self {
        Self {
            command,
            programs: Vec::new(),
            version: 1,
            oldest: 1,
            newest: 1,
            upgrade: None,
            class: DEFAULT_CLASS.to_owned(),
            priority: 0,
            attempts: 3,
            backoff_seconds: 1,
            timeout_seconds: 600,
            concurrency: None,
            concurrency_per_instance: None,
            keep_seconds: 30 * 86_400,
            schedule: None,
        }
    }

    /// What a manifest says of a job.
    pub fn of_manifest(job: &JobCommand) -> Self {
        let (oldest, newest) = job.versions().ends();
        let schedule = job.schedule.clone().map(|cron| Schedule {
            cron,
            time_zone: job.time_zone.clone(),
            missed: job.missed,
            spread_seconds: job.spread_seconds,
        });
        Self {
            command: job.command.clone(),
            programs: Vec::new(),
            version: job.version,
            oldest,
            newest,
            upgrade: job.upgrade.clone(),
            class: job.class.clone(),
            priority: job.priority,
            attempts: job.attempts,
            backoff_seconds: job.backoff_seconds,
            timeout_seconds: job.timeout_seconds,
            concurrency: job.concurrency.total,
            concurrency_per_instance: job.concurrency.instance,
            keep_seconds: job.keep_seconds,
            schedule,
        }
    }

    /// Commands that are run once.
    fn of_commands(programs: &[String]) -> Option<Self> {
        let class = COMMAND_CLASS.to_owned();
        let (attempts, timeout_seconds) = (1, 900);
        let definition = Self::of(vec![programs.first()?.clone()]);
        Some(Self { programs: programs.to_vec(), class, attempts, timeout_seconds, ..definition })
    }

    /// Whether a job of that version can be done.
    pub const fn accepts(&self, version: u32) -> bool {
        self.oldest <= version && version <= self.newest
    }
}

/// Makes a release the one whose jobs can be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromoteJobs {
    /// Which service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// Counts up with each promotion of the service; an older one changes nothing.
    pub turn: u64,
}

/// Asks how many jobs of a service wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountWaiting {
    /// Which service.
    pub service: Name,
}

/// How many jobs of a service wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingJobs {
    /// By name and version, at most 1,000: those first of which most wait.
    pub kinds: Vec<WaitingKind>,
}

/// How many jobs of a name and a version wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingKind {
    /// Their name.
    pub name: String,
    /// Their version.
    pub version: u32,
    /// How many.
    pub jobs: u64,
    /// Of how many instances.
    pub instances: u64,
}

/// Forgets a release that another component has refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropJobs {
    /// Which service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
}

/// Says of instances whose they are, by which release their jobs are done, and whether they may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutInstances {
    /// At most 1,000.
    pub instances: BTreeMap<InstanceId, Instance>,
}

/// Releases that are not known yet. Of what is on one nothing was kept: it is to be told again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownReleases {
    /// Which.
    pub releases: BTreeSet<Digest>,
}

/// An instance, as far as its jobs go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Whose it is.
    pub account: AccountId,
    /// Of which service.
    pub service: Name,
    /// The release that it is on, which says what jobs it has and does those that it accepts.
    pub release: Digest,
    /// Whether its jobs may run.
    pub state: InstanceState,
    /// What becomes of its new jobs, whatever the gates of queues say.
    #[serde(default)]
    pub gate: Gate,
}

/// Whether an instance's jobs may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// They may.
    Open,
    /// They wait: it is being set up, in maintenance or suspended.
    Closed,
    /// There is no such instance any more: they are dropped.
    Ended,
}
