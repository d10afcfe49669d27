//! What a promotion would change, for whom; and what was done to a rollout.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Digest, Host, Name, Permission, Principal, Timestamp};

use super::Rollout;
use crate::{access::Grant, billing::Forecast};

/// Says what the promotion of a release would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewRelease {
    /// Of which service.
    pub service: Name,
    /// Which release: one that is staged, or that was current before.
    pub release: Digest,
}

/// What a promotion changes. Lists are cut, and say how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// Of which service.
    pub service: Name,
    /// The release that is current.
    pub from: Digest,
    /// The release that would be.
    pub to: Digest,
    /// How many instances the service has.
    pub instances: u64,
    /// How many of them are on other releases than the current one: for them more may change than
    /// is said here.
    pub elsewhere: u64,
    /// What becomes of the database, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseChange>,
    /// The modules that come or go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleChange>,
    /// The permissions that come or go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<PermissionChange>,
    /// The jobs that come or go, or are of another version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobChange>,
    /// The requests that are let through otherwise than before, at most [`ROUTES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteChange>,
    /// How many more of them there are.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_routes: u64,
    /// The meters that come or go, or count otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterChange>,
    /// What bills become, if they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bills: Option<Forecast>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_none(number: &u64) -> bool {
    *number == 0
}

/// So many requests of a preview are named.
pub const ROUTES_MAX: usize = 100;
/// So many instances of a change are named.
pub const INSTANCES_MAX: usize = 50;
/// So many grants of a permission are shown.
pub const GRANTS_MAX: usize = 20;

/// What becomes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It comes.
    Added,
    /// It goes.
    Dropped,
    /// It is another one.
    Changed,
}

/// Instances that a change concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Concerned {
    /// How many.
    pub count: u64,
    /// The first of them by their hosts, at most [`INSTANCES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
}

/// What becomes of the databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseChange {
    /// What becomes of them.
    pub change: Change,
    /// The number of the shape that the current release needs; 0 without a database.
    pub before: u32,
    /// The number of the shape that the other release needs; 0 without a database.
    pub after: u32,
    /// Whether nobody is kept out while a database is migrated.
    pub compatible: bool,
    /// The instances whose databases are migrated when they move.
    pub migrated: Concerned,
    /// The instances that cannot move, since their databases have a shape that the release does not
    /// read.
    pub stay: Concerned,
}

/// A module that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModuleChange {
    /// What becomes of it.
    pub change: Change,
    /// Its name.
    pub module: String,
    /// Its name for people.
    pub title: String,
    /// The instances that have it.
    pub instances: Concerned,
}

/// A permission that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionChange {
    /// What becomes of it.
    pub change: Change,
    /// Its name, `forum.addUsers`.
    pub permission: Permission,
    /// What it allows, in words.
    pub title: String,
    /// How many grants name it.
    pub grants: u64,
    /// The first of them, at most [`GRANTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Grant>,
}

/// Jobs of a name that come or go, or are of another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobChange {
    /// What becomes of them.
    pub change: Change,
    /// Their name.
    pub job: String,
    /// The version that is queued now, with the oldest and the newest that are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Accepted>,
    /// The version that would be, with the oldest and the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Accepted>,
    /// Those that wait now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
}

/// Which versions of a job a release has to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The one that is queued.
    pub version: u32,
    /// The oldest that it does.
    pub oldest: u32,
    /// The newest that it does.
    pub newest: u32,
}

/// Jobs of one version that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// Which version.
    pub version: u32,
    /// How many.
    pub jobs: u64,
    /// Of how many instances.
    pub instances: u64,
    /// Whether the other release does them.
    pub accepted: bool,
}

/// What is asked of whoever sends a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// Whether nobody may send it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The permissions that it needs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub permissions: BTreeSet<Permission>,
    /// The modules that the instance must have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub modules: BTreeSet<String>,
}

/// How a request is let through in comparison with before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Passage {
    /// To more than before.
    Opens,
    /// To fewer than before.
    Closes,
    /// To others than before.
    Changes,
}

/// Requests that are let through otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteChange {
    /// In comparison with before.
    pub passage: Passage,
    /// Which requests: a pattern of one of the two manifests.
    pub requests: String,
    /// What they need now.
    pub before: Reach,
    /// What they would need.
    pub after: Reach,
}

/// A meter that comes or goes, or counts otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeterChange {
    /// What becomes of it.
    pub change: Change,
    /// Its name.
    pub meter: String,
    /// Its name for people.
    pub title: String,
}

impl Preview {
    /// Whether nothing changes but the code.
    pub fn is_empty(&self) -> bool {
        self.database.is_none()
            && self.modules.is_empty()
            && self.permissions.is_empty()
            && self.jobs.is_empty()
            && self.routes.is_empty()
            && self.meters.is_empty()
            && self.bills.is_none()
    }

    /// What would be lost, each in a sentence without its end; nothing if nothing would. Jobs are not:
    /// what the release does not accept is done by one before it, or set aside where the plan says so.
    pub fn losses(&self) -> Vec<String> {
        let dropped = |change| change == Change::Dropped;
        let database = self.database.iter().filter(|it| dropped(it.change));
        let database = database.map(|_| {
            let of = some(self.instances, "instance");
            format!("the release has no database, and what {of} wrote there cannot be read")
        });
        let modules = self.modules.iter().filter(|it| dropped(it.change));
        let modules = modules.map(|it| {
            let have = match it.instances.count {
                0 => "no instance has".to_owned(),
                1 => "1 instance has".to_owned(),
                count => format!("{count} instances have"),
            };
            format!("module `{}` goes, which {have}", it.module)
        });
        let permissions = self.permissions.iter().filter(|it| dropped(it.change));
        let permissions = permissions.map(|it| {
            let name = match it.grants {
                0 => "no grant names".to_owned(),
                1 => "1 grant names".to_owned(),
                count => format!("{count} grants name"),
            };
            format!("permission `{}` goes, which {name}", it.permission)
        });
        database.chain(modules).chain(permissions).collect()
    }
}

/// `1 job`, `2 jobs`.
fn some(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Shows a rollout with what was agreed to and what was done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetRollout {
    /// Of which service.
    pub service: Name,
    /// Which one.
    pub number: u64,
}

/// A rollout with what was agreed to and what was done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutRecord {
    /// The rollout.
    pub rollout: Rollout,
    /// Whether whoever promoted the release agreed that something is lost.
    pub accepted_loss: bool,
    /// Whether it leads back to the release before, for which nobody has to agree.
    pub is_way_back: bool,
    /// What the promotion was said to change when it was asked for; absent at a service's first
    /// release, and for a way back whose preview could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// What people did to it, the first first; of more than [`ACTS_MAX`] the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<Act>,
}

/// So many acts of a rollout are kept.
pub const ACTS_MAX: u32 = 100;

/// What somebody did to a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Principal,
    /// What.
    pub did: Did,
}

/// What can be done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// It was begun.
    Promoted,
    /// It was paused.
    Paused,
    /// It was let go on.
    Resumed,
    /// It was given up.
    Cancelled,
    /// The release before it was promoted again.
    RolledBack,
}
