//! The commands of a job: those that the release's publisher has signed, and no others.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::{
    jobs::{COMMAND_JOB, Lease, Outcome, PAYLOAD_BYTES_MAX, Upgrade},
    manifest::Manifest,
};
use serde_json::Value;
use types::Secret;

use super::{place, says};
use crate::{
    Node,
    environment::{self, Own, Variables},
    folder::{Scratch, way, write_private},
    hold::{self, Bounds, Held, LOG, Launch, Limit, Moment, Output},
    releases::{Ready, Releases},
    users::{User, write_for},
};

/// The file that a command reads, in the job's folder.
const PAYLOAD: &str = "payload";
/// The folder of the command that is run first, in the job's folder.
const UPGRADE: &str = "upgrade";

/// Why a job is not begun, or does not go on.
pub(super) type Refusal = (Outcome, String);

/// A job that can be begun.
pub(super) struct Prepared {
    scratch: Scratch,
    variables: Variables,
    secrets: Vec<Secret>,
    user: Option<User>,
    ready: Arc<Ready>,
    limit: Limit,
}

/// A command that runs.
pub(super) struct Work {
    pub(super) held: Held,
    pub(super) folder: PathBuf,
    pub(super) output: Output,
    /// Held until the command has ended, so that it is not removed meanwhile.
    pub(super) _ready: Option<Arc<Ready>>,
}

/// Gets what a job needs.
pub(super) async fn prepare(
    node: &Node,
    releases: &Releases,
    lease: &Lease,
) -> Result<Prepared, Refusal> {
    let lost = |why: String| (Outcome::Lost, why);
    let ready = releases.ready(&lease.release);
    let ready =
        ready.ok_or_else(|| lost("the release is not ready on the node any more".into()))?;
    if !is_of(&ready.manifest, lease) {
        let why = "the release's manifest has no such command: nothing else is run".to_owned();
        return Err((Outcome::Refused, why));
    }
    let own =
        environment::of_instance(node, lease.instance, (&lease.release, &ready.manifest)).await;
    let Own { mut variables, secrets, user } =
        own.map_err(|problem| lost(format!("the environment cannot be had: {problem}")))?;
    let unstorable = |cause: io::Error| lost(format!("the node cannot store files: {cause}"));
    let scratch = Scratch::new(node.folder.job(lease.job, lease.token)).map_err(unstorable)?;
    place::mark(scratch.path(), lease).map_err(unstorable)?;
    write_payload(scratch.path(), &lease.payload).map_err(unstorable)?;
    if user.is_some() {
        // Its user can make no file there.
        write_for(user, &place::result(scratch.path()), "").map_err(unstorable)?;
    }
    variables.extend(environment::basis(scratch.path(), user).map_err(unstorable)?);
    let home = environment::home_of(node, (lease.instance, user), &ready.manifest);
    variables.extend(home.map_err(unstorable)?);
    variables.extend(of_job(lease, scratch.path()));
    ready.manifest.complete(&mut variables, &ready.folder);
    let limit = Duration::from_secs(lease.timeout_seconds.into());
    let limit = Limit::after(limit, format!("was stopped after its limit of {limit:?}"));
    Ok(Prepared { scratch, variables, secrets, user, ready, limit })
}

/// What must not be shown of what a job printed that an earlier agent began.
pub(super) async fn secrets(
    node: &Node,
    lease: &Lease,
    ready: Option<&Ready>,
) -> Option<Vec<Secret>> {
    let of = (&lease.release, &ready?.manifest);
    let of_instance = environment::of_instance(node, lease.instance, of).await;
    of_instance.ok().map(|own| own.secrets)
}

/// What tells a command which job it does, so that it can show its token to others.
fn of_job(lease: &Lease, folder: &Path) -> Variables {
    let pairs = [
        ("MANDATE_JOB", lease.job.to_string()),
        ("MANDATE_JOB_TOKEN", lease.token.to_string()),
        ("MANDATE_JOB_ATTEMPT", lease.attempt.to_string()),
        ("MANDATE_RESULT_FILE", place::result(folder).display().to_string()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))).into()
}

impl Prepared {
    /// Starts the command that turns an older payload into one that the job's own understands. It
    /// is done again if its agent goes meanwhile.
    pub(super) async fn upgrade(
        &self,
        node: &Node,
        upgrade: &Upgrade,
        until: Moment,
    ) -> Result<Work, Refusal> {
        let folder = self.scratch.path().join(UPGRADE);
        let unstorable =
            |cause: io::Error| (Outcome::Lost, format!("the node cannot store files: {cause}"));
        way(&folder).map_err(unstorable)?;
        let mut variables = self.variables.clone();
        variables.extend(environment::basis(&folder, self.user).map_err(unstorable)?);
        let launch = Launch {
            command: &upgrade.command,
            variables,
            user: self.user,
            bounds: Bounds::new(node, None),
            input: Some(self.scratch.path().join(PAYLOAD)),
            printed: Some(printed(&folder)),
            limit: Some(self.limit.clone()),
            lease: Some(until),
            ..Launch::new(node, &self.ready.folder)
        };
        let held = hold::launch(&folder, launch).await.map_err(unstartable)?;
        let output = Output::hiding(folder.join(LOG), self.secrets.clone());
        Ok(Work { held, folder, output, _ready: None })
    }

    /// Takes what the command printed that was run first.
    pub(super) fn upgraded(&self) -> Result<(), Refusal> {
        let folder = self.scratch.path();
        let refuse = |why| (Outcome::Refused, why);
        let what = "what the upgrade of its payload printed";
        let payload = says::json(&printed(&folder.join(UPGRADE)), PAYLOAD_BYTES_MAX, what);
        let payload = payload.map_err(refuse)?.ok_or_else(|| refuse(format!("{what} is empty")))?;
        write_payload(folder, &payload)
            .map_err(|cause| (Outcome::Lost, format!("the node cannot store files: {cause}")))
    }

    /// Starts the job's command; it ends at that moment, unless its lease is renewed.
    pub(super) async fn start(
        self,
        node: &Node,
        lease: &Lease,
        until: Moment,
    ) -> Result<Work, Refusal> {
        let Self { scratch, variables, secrets, user, ready, limit } = self;
        let folder = scratch.keep();
        let launch = Launch {
            command: &lease.command,
            variables,
            user,
            bounds: Bounds::new(node, None),
            input: (lease.name != COMMAND_JOB).then(|| folder.join(PAYLOAD)),
            progress: true,
            lasting: true,
            limit: Some(limit),
            lease: Some(until),
            kept: serde_json::to_string(&secrets).unwrap_or_default(),
            ..Launch::new(node, &ready.folder)
        };
        match hold::launch(&folder, launch).await {
            Ok(held) => {
                let output = Output::hiding(folder.join(LOG), secrets);
                Ok(Work { held, folder, output, _ready: Some(ready) })
            }
            Err(cause) => {
                place::remove(&folder);
                Err(unstartable(cause))
            }
        }
    }
}

fn printed(folder: &Path) -> PathBuf {
    folder.join("printed")
}

fn write_payload(folder: &Path, payload: &Value) -> io::Result<()> {
    write_private(&folder.join(PAYLOAD), &payload.to_string())
}

fn unstartable(cause: io::Error) -> Refusal {
    (Outcome::Lost, format!("the command cannot be started: {cause}"))
}

/// Whether all that a lease says to run stands in the manifest: of a command that is run once, the
/// program.
fn is_of(manifest: &Manifest, lease: &Lease) -> bool {
    let database = manifest.database.iter();
    let of_database = database.flat_map(|database| database.migrate.iter().chain(&database.seed));
    let of_database = of_database.chain(&manifest.run.check);
    let of_jobs = manifest.jobs.values().map(|job| &job.command);
    let is_upgrade = |upgrade: &Upgrade| {
        let mut known = manifest.jobs.values().filter_map(|job| job.upgrade.as_ref());
        known.any(|known| *known == upgrade.command)
    };
    if lease.name == COMMAND_JOB {
        return lease.command.first().is_some_and(|word| manifest.run.commands.contains(word));
    }
    of_database.chain(of_jobs).any(|known| *known == lease.command)
        && lease.upgrade.as_ref().is_none_or(is_upgrade)
}
