//! configurator: what each instance is, and its database.

mod moves;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Digest, Host, InstanceId, JobId, Name, NodeId, Secret, Timestamp};

use crate::{
    Empty, feed,
    jobs::JobState,
    manifest::{Field, Manifest},
};

pub use moves::{
    ClosedTime, GetClosedTime, HOLD_SECONDS, LastMove, MoveInstances, Moves, Moving, PutQuiet,
    SetFreeze, TurnBack,
};

operations! { "configurator":
    /// Proposes what a service's instances need: their set-up fields, commands and engines.
    PutService PUT "/v1/services/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Makes what a release proposed hold.
    PromoteService PUT "/v1/services/{service}" on service by [releases] -> Empty;
    /// Withdraws what a release proposed that was never promoted.
    DropService DELETE "/v1/services/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Says what an instance is. Its database is made, and it waits to be set up.
    PutInstance PUT "/v1/accounts/{account}/instances/{instance}" on instance by [provider] -> Instance;
    /// Shows an instance.
    GetInstance GET "/v1/accounts/{account}/instances/{instance}" on instance by [customer, operator, access, identity] -> Instance;
    /// Lists the instances of an account.
    ListInstances GET "/v1/accounts/{account}/instances" on account by [customer, operator] lists Instance;
    /// Lists the instances of all accounts.
    ListAllInstances GET "/v1/instances" on platform by [operator] lists Instance;
    /// Finds an instance by its id or its host, whosever it is. Whoever may not look at it hears that
    /// there is none.
    FindInstance GET "/v1/instances/{name}" on platform by [anyone] -> Instance;
    /// Says at which hosts instances are: those of one's own account, and those that one may look at.
    GetHosts POST "/v1/hosts" on platform by [anyone] -> Hosts;
    /// Suspends an instance, or lets it go on.
    SetSuspension PUT "/v1/accounts/{account}/instances/{instance}/suspension" on instance by [provider] -> Empty;
    /// Closes an instance for maintenance, or opens it. When this returns, every gateway does so.
    SetMaintenance PUT "/v1/accounts/{account}/instances/{instance}/maintenance" on instance by [customer, operator] -> Maintenance;
    /// Keeps an instance on its release until a moment, or lets it move again.
    SetFreeze PUT "/v1/accounts/{account}/instances/{instance}/freeze" on instance by [customer, operator] -> Empty;
    /// Has instances served by another release of their service: at once, or as soon as their
    /// databases have its shape. When this returns, every gateway sends those that have moved there.
    /// What is not an instance of the service is passed over.
    MoveInstances PUT "/v1/services/{service}/moves/{release}" on service by [releases] -> Moves;
    /// Has instances turn back that are on their way, as far as they can: a rollout was given up.
    TurnBack PUT "/v1/services/{service}/moves" on service by [releases] -> Empty;
    /// Says for how long instances of a service were kept closed when they moved last.
    GetClosedTime GET "/v1/services/{service}/closed-time" on service by [releases] -> ClosedTime;
    /// Says for which of the instances whose requests wait nothing is under way at a gateway any more.
    PutQuiet PUT "/v1/gateways/{gateway}/quiet" on platform by [gateway] -> Empty;
    /// Makes a secret of an instance anew; its processes start anew with it.
    RotateSecret POST "/v1/accounts/{account}/instances/{instance}/secrets/{secret}" on instance by [customer, operator] -> Empty;
    /// Tells `jobs` of every instance again, whose database was lost or put back.
    RepeatInstances POST "/v1/instances/repetition" on platform by [operator] -> Empty;
    /// Shows what is to be filled in, or how far the set-up is.
    GetSetup GET "/v1/accounts/{account}/instances/{instance}/setup" on instance by [customer, operator, gateway] -> Setup;
    /// Sets an instance up, once, by whoever holds its set-up key.
    SubmitSetup POST "/v1/accounts/{account}/instances/{instance}/setup" on instance by [customer, gateway] -> Setup;
    /// Says how a job of a set-up ended.
    PutJobResult PUT "/v1/jobs/{job}/result" on platform by [jobs] -> Empty;
    /// Gives the environment that an instance's commands run with.
    GetEnvironment GET "/v1/nodes/{node}/instances/{instance}/environment" on node by [agent] -> Environment;
    /// Tells a service that serves many instances which one a host is.
    ResolveHost GET "/v1/services/{service}/hosts/{host}" on service by [service] -> Tenant;
    /// Asks for the changes after a revision, and acknowledges it.
    FollowChanges PUT "/v1/followers/{follower}" on platform by [platform] -> feed::Changes;
    /// Reads everything that the feed carries.
    ReadSnapshot GET "/v1/snapshot" on platform by [platform] -> feed::Snapshot;
}

feed!(Changes, "configurator");

/// Proposes what a service's instances need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutService {
    /// The service.
    pub service: Name,
    /// The release that its commands are run from.
    pub release: Digest,
    /// What it is.
    pub manifest: Manifest,
}

/// Makes what a release proposed hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromoteService {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// A service's promotions count up; one that comes after a later one changes nothing.
    pub turn: u64,
}

/// Withdraws what a release proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropService {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
}

/// Says what an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutInstance {
    /// Whose.
    pub account: AccountId,
    /// Its id, chosen by the caller.
    pub instance: InstanceId,
    /// Of which service.
    pub service: Name,
    /// At which host name.
    pub host: Host,
    /// With which modules.
    pub modules: BTreeSet<String>,
    /// How big.
    pub size: String,
}

/// Where an instance stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Its database is being made.
    Creating,
    /// Somebody has to fill in the set-up page.
    AwaitingSetup,
    /// Its first jobs are running.
    SettingUp,
    /// It serves.
    Open,
    /// It could not be made or set up; the instance says why.
    Failed,
}

/// A customer's copy of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Its id.
    pub instance: InstanceId,
    /// Whose.
    pub account: AccountId,
    /// Of which service.
    pub service: Name,
    /// At which host name.
    pub host: Host,
    /// Where it is found by a browser.
    pub url: String,
    /// With which modules.
    pub modules: BTreeSet<String>,
    /// How big.
    pub size: String,
    /// The release that it is on: what serves it.
    pub release: Digest,
    /// Where it stands.
    pub state: InstanceState,
    /// Why it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<String>,
    /// Why it is closed for maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Until when it stays on its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<Timestamp>,
    /// How it moved from one release to another last, if its database was migrated for that or could
    /// not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_move: Option<LastMove>,
    /// Where its set-up page is, while it waits for that; whoever has this address may set it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_url: Option<String>,
    /// When it was first asked for.
    pub created: Timestamp,
}

/// Shows an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetInstance {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
}

/// Finds an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindInstance {
    /// Its id or its host.
    pub name: String,
}

/// Asks at which hosts instances are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetHosts {
    /// Which ones, at most 500.
    pub instances: BTreeSet<InstanceId>,
}

/// At which hosts instances are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hosts {
    /// Those that the caller may know of.
    pub hosts: BTreeMap<InstanceId, Host>,
}

/// Suspends an instance, or lets it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetSuspension {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
    /// Why, as its visitors will read it; absent lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Closes an instance for maintenance, or opens it. Its visitors are kept out when this returns, and
/// no more of its jobs are begun a moment later; its processes and the jobs that run already go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetMaintenance {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
    /// Why, as its visitors will read it; absent opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Every gateway that is alive has applied it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Maintenance {
    /// The revision of the feed that says so.
    pub revision: u64,
}

/// Makes a secret of an instance anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotateSecret {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
    /// What the manifest calls it, `SECRET_KEY`.
    pub secret: String,
}

/// Shows what is to be filled in, or how far the set-up is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetSetup {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
}

/// Sets an instance up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmitSetup {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
    /// The key that the set-up page's address carries; whoever owns the instance needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// The fields' values; secret, since a field may be a password.
    pub values: BTreeMap<String, Secret>,
}

/// How far the set-up is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setup {
    /// Where the instance stands.
    pub state: InstanceState,
    /// What is to be filled in, in the manifest's order.
    pub fields: Vec<SetupField>,
    /// Where the application asks for it itself, `/install`; whoever has done what it asks for sends
    /// the set-up without values, and the instance is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The jobs of the set-up, in the order in which they run.
    pub steps: Vec<SetupStep>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A field of the set-up page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetupField {
    /// Its name.
    pub name: String,
    /// How it looks.
    pub field: Field,
    /// What is wrong with the value that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A job of the set-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetupStep {
    /// Its id.
    pub job: JobId,
    /// What it does, `migrate`.
    pub name: String,
    /// How far it is.
    pub state: JobState,
    /// The end of what it printed.
    pub output: String,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// Has `jobs` told of every instance again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepeatInstances {}

/// Says how a job of a set-up ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutJobResult {
    /// Which job.
    pub job: JobId,
    /// It has succeeded or failed.
    pub state: JobState,
    /// The end of what it printed.
    pub output: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether an attempt was lost with its machine, which says nothing about the job.
    #[serde(default)]
    pub lost: bool,
}

/// Asks for an instance's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetEnvironment {
    /// The node that will run a command.
    pub node: NodeId,
    /// For which instance.
    pub instance: InstanceId,
    /// The release that the command is of; without it the one that the instance is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
}

/// What an instance's commands run with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Whose instance it is.
    pub account: AccountId,
    /// The variables: `PUBLIC_URL`, `MODULES`, `MANDATE_SIZE`, `SETUP_…`, `DATABASE_URL` if the
    /// service has databases, and `MAIL_URL` and `MAIL_FROM` if there is a mail server for instances.
    pub variables: BTreeMap<String, Secret>,
    /// All that was ever made for the instance by `[secrets]`; a release gets those that it names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
}

/// Asks which instance a host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolveHost {
    /// The service that asks.
    pub service: Name,
    /// The host.
    pub host: Host,
}

/// An instance as a service that serves many needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tenant {
    /// Which instance.
    pub instance: InstanceId,
    /// At which host.
    pub host: Host,
    /// Its database; empty if the service has none.
    pub database_url: Secret,
    /// Its modules.
    pub modules: BTreeSet<String>,
    /// What was filled in on the set-up page, without passwords.
    pub settings: BTreeMap<String, String>,
    /// Where it is found by a browser.
    pub public_url: String,
}

/// An instance as the feed carries it: all that a gateway needs, and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Which instance.
    pub instance: InstanceId,
    /// Whose.
    pub account: AccountId,
    /// Of which service.
    pub service: Name,
    /// At which host.
    pub host: Host,
    /// Its modules.
    pub modules: BTreeSet<String>,
    /// How big.
    pub size: String,
    /// The release that it is on: the replicas of that one are sent its requests, and of no other.
    pub release: Digest,
    /// Where it stands.
    pub state: InstanceState,
    /// Why it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<String>,
    /// Why it is closed for maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// What the key has as its digest that lets somebody through to the application's own set-up
    /// page; present while it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_key: Option<Digest>,
    /// How often its secrets were rotated: processes that began before have the former ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotations: u64,
    /// The number of the shape that its database has.
    #[serde(default)]
    pub schema: u32,
    /// Until when it stays on its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<Timestamp>,
    /// What is different while its database is migrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl feed::Document for Route {
    const COMPONENT: &'static str = "configurator";
    const TOPIC: &'static str = "route";
    fn key(&self) -> String {
        self.instance.to_string()
    }
}
