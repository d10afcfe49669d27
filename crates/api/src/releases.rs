//! releases: what should run where: packages, releases, nodes and their replicas.

mod isolation;
mod keys;
mod logs;
mod nodes;
mod packages;
mod previews;
mod release;
mod rollouts;
mod told;
mod updates;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Digest, InstanceId, Name, NodeId, ReplicaId, Timestamp};

pub use nodes::{Drain, DrainNode, Machine, Node, NodeServices, Placement, Promised, RefillNode};

use crate::{
    Empty, feed,
    manifest::{FILES, Manifest, WEB},
};

pub use isolation::Isolation;
pub use keys::{COMMENT_CHARS_MAX, DistrustKey, KEYS_MAX, ServiceKey, TrustKey};
pub use logs::{
    LOG_BYTES_MAX, LOG_LINES_MAX, LogPart, LogPlace, LogWish, Logs, PutLogs, ReadInstanceLogs,
    ReadServiceLogs,
};
pub use packages::{
    FindPackage, GetPackage, GetPackagePart, PACKAGE_BYTES_MAX, PACKAGE_PART_BYTES_MAX,
    PackageSource, PackageSources, PackageState, PutPackage, PutPackagePart, SOURCES_MAX, Sharing,
    TICKET_LIFE, ticket_audience,
};
pub use previews::{
    ACTS_MAX, Accepted, Act, Change, Concerned, DatabaseChange, Did, GRANTS_MAX, GetRollout,
    INSTANCES_MAX, JobChange, MeterChange, ModuleChange, Passage, PermissionChange, Preview,
    PreviewRelease, ROUTES_MAX, Reach, RolloutRecord, RouteChange, Waiting,
};
pub use release::{KeepReleases, OnNodes, PublishRelease, Release, ReleasePhase, signed_text};
pub use rollouts::{
    Move, MoveCounts, MoveState, PromoteRelease, Rollout, RolloutPlan, RolloutState, Steer,
    SteerRollout, Wave,
};
pub use told::{PutReached, REACHED_MAX, ReplicaAddress, ServiceRelease};
pub use updates::{GetUpdate, InstanceUpdate, Update, UpdateState};

operations! { "releases":
    /// Says how much of a package is there, also of one that is being sent.
    GetPackage GET "/v1/packages/{digest}/parts" on platform by [operator] -> PackageState;
    /// Stores a part of a package. The body is the part, not JSON.
    PutPackagePart PUT "/v1/packages/{digest}/parts/{offset}" on platform by [operator] -> Empty;
    /// Gives a part of a package.
    GetPackagePart GET "/v1/packages/{digest}/parts/{offset}" on platform by [agent, operator] -> Empty;
    /// Says which other nodes give a package to a node.
    FindPackage GET "/v1/nodes/{node}/packages/{digest}" on node by [agent] -> PackageSources;
    /// Keeps a package whose parts were all sent, if they have its digest.
    PutPackage PUT "/v1/packages/{digest}" on platform by [operator] -> Empty;
    /// Publishes a release of a service from a stored package: everybody is asked, and nodes make it
    /// ready. The first of a service is promoted too.
    PublishRelease POST "/v1/services/{service}/releases" on service by [operator] -> Release;
    /// Lists the releases of a service, the one that was published last first.
    ListReleases GET "/v1/services/{service}/releases" on service by [operator] lists Release;
    /// Lists the keys that are or were trusted to sign releases of a service.
    ListServiceKeys GET "/v1/services/{service}/keys" on service by [operator] lists ServiceKey;
    /// Trusts a key to sign releases of a service.
    TrustKey PUT "/v1/services/{service}/keys/{public_key}" on service by [operator] -> ServiceKey;
    /// Takes a key back: it signs no release any more, and none of its releases is promoted.
    DistrustKey DELETE "/v1/services/{service}/keys/{public_key}" on service by [operator] -> ServiceKey;
    /// Says what the promotion of a release would change, for whom, and what would be lost.
    PreviewRelease GET "/v1/services/{service}/releases/{release}/preview" on service by [operator] -> Preview;
    /// Makes a release the current one, once every node has it ready.
    PromoteRelease POST "/v1/services/{service}/rollouts" on service by [operator] -> Rollout;
    /// Lists the rollouts of a service, the last one first.
    ListRollouts GET "/v1/services/{service}/rollouts" on service by [operator] lists Rollout;
    /// Shows a rollout with what was agreed to and what was done to it.
    GetRollout GET "/v1/services/{service}/rollouts/{number}" on service by [operator] -> RolloutRecord;
    /// Lists how far each instance of a rollout is, of the last one unless it is said of which, those
    /// first that are not where they should be.
    ListMoves GET "/v1/services/{service}/moves" on service by [operator] lists Move only [number: u64];
    /// Pauses a rollout, lets it go on, or gives it up.
    SteerRollout POST "/v1/services/{service}/steering" on service by [operator] -> Rollout;
    /// Lists the published services.
    ListServices GET "/v1/services" on platform by [operator] lists ServiceSummary;
    /// Lists the nodes with what each has and runs.
    ListNodes GET "/v1/nodes" on platform by [operator] lists Node;
    /// Tells what a node has and runs, and asks what it should.
    Heartbeat PUT "/v1/nodes/{node}" on node by [agent] -> Desired;
    /// Reads what an instance's processes print, from where they run.
    ReadInstanceLogs GET "/v1/accounts/{account}/instances/{instance}/logs" on instance by [customer, operator] -> Logs;
    /// Reads what the processes of a service print that serve all its instances.
    ReadServiceLogs GET "/v1/services/{service}/logs" on service by [operator] -> Logs;
    /// Tells what a node's processes have printed, since somebody wants to read it.
    PutLogs PUT "/v1/nodes/{node}/logs" on node by [agent] -> Empty;
    /// Empties a node: it gets nothing new, and what can move runs elsewhere soon.
    DrainNode PUT "/v1/nodes/{node}/drain" on node by [operator] -> Node;
    /// Lets a node that was emptied have instances again.
    RefillNode DELETE "/v1/nodes/{node}/drain" on node by [operator] -> Node;
    /// Says whether an instance is open and answers. When it says so, every gateway leads there.
    GetReadiness GET "/v1/accounts/{account}/instances/{instance}/readiness" on instance by [customer, operator] -> Readiness;
    /// Says which rollout concerns an instance, and what that is to whoever uses it.
    GetUpdate GET "/v1/accounts/{account}/instances/{instance}/update" on instance by [customer, operator] -> InstanceUpdate;
    /// Says whether anything of an instance runs, and whether all that is to run of it serves.
    GetStanding GET "/v1/instances/{instance}/standing" on platform by [configurator] -> Standing;
    /// Says which replicas have answered a gateway.
    PutReached PUT "/v1/gateways/{gateway}/reached" on platform by [gateway] -> Empty;
    /// Has nodes keep releases that are not current any more, since only they can do some jobs.
    KeepReleases PUT "/v1/services/{service}/kept" on service by [jobs] -> Empty;
    /// Asks for the changes after a revision, and acknowledges it.
    FollowChanges PUT "/v1/followers/{follower}" on platform by [platform] -> feed::Changes;
    /// Reads everything that the feed carries.
    ReadSnapshot GET "/v1/snapshot" on platform by [platform] -> feed::Snapshot;
}

feed!(Changes, "releases");

/// Longer last words are cut.
const WORDS_CHARS_MAX: usize = 120;

/// Where a release is from is said in so many characters.
pub const SOURCE_CHARS_MAX: usize = 500;

/// A published service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSummary {
    /// Its name.
    pub service: Name,
    /// What it is called.
    pub title: String,
    /// The release that runs.
    pub release: Digest,
    /// How many nodes have it ready.
    pub nodes_ready: u32,
    /// How many healthy replicas it has.
    pub replicas_healthy: u32,
}

/// How far a node is with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Being fetched and checked.
    Fetching,
    /// Its build hook runs.
    Building,
    /// It can be run.
    Ready,
    /// It cannot; the report says why.
    Failed,
}

/// What a node has of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseReport {
    /// Which release.
    pub digest: Digest,
    /// Of which service.
    pub service: Name,
    /// How far.
    pub state: ReleaseState,
    /// The end of the build's log, or why it failed; at most 8 KiB.
    pub log: String,
}

/// Asks whether an instance answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetReadiness {
    /// Whose.
    pub account: AccountId,
    /// Which one.
    pub instance: InstanceId,
}

/// Whether an instance answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// Whether it is open and a replica has answered its health check.
    pub ready: bool,
    /// What is waited for if not, as in `it waits for …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// Asks how an instance is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetStanding {
    /// Which instance.
    pub instance: InstanceId,
}

/// How an instance is served, as its node says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// Whether any process of it may still run.
    pub runs: bool,
    /// Whether all that is to run of it is healthy, and every gateway knows it.
    pub serves: bool,
    /// Why it will not serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// It was started and is not yet healthy.
    Starting,
    /// It answers its health check, or has none and has lasted for a while.
    Healthy,
    /// It is alive and says that it is not ready: it gets no requests, and is left alone.
    Unready,
    /// It stopped answering, or ended; it is started again after a pause that grows.
    Failing,
    /// It has failed so often in a row that the pause has grown long.
    CrashLoop,
    /// It is being stopped, and may still run.
    Stopping,
}

impl ReplicaState {
    /// Whether it does not run, and waits to be started again.
    pub fn has_failed(self) -> bool {
        matches!(self, Self::Failing | Self::CrashLoop)
    }
}

/// What a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaReport {
    /// Its id.
    pub replica: ReplicaId,
    /// Of which release.
    pub digest: Digest,
    /// Of which service.
    pub service: Name,
    /// Which process of it.
    #[serde(default = "web", skip_serializing_if = "is_web")]
    pub process: String,
    /// For which instance, if it serves only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Where it listens; empty if nowhere.
    pub address: String,
    /// How it is.
    pub state: ReplicaState,
    /// How often it was started.
    pub starts: u32,
    /// When it is started again, if it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<Timestamp>,
    /// The end of what it printed; at most 8 KiB.
    pub log: String,
}

/// What a node has and runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// Which node.
    pub node: NodeId,
    /// What the machine is called.
    pub name: Name,
    /// What it has.
    pub releases: Vec<ReleaseReport>,
    /// What it runs.
    pub replicas: Vec<ReplicaReport>,
    /// The `version` of the desired state that it knows; 0 at first.
    pub known: u64,
    /// How long to wait for another one before answering, at most 5 000.
    pub wait_millis: u32,
    /// How what it runs is kept apart, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Instead of `releases` and `replicas`, which are empty then: they are what they were in the
    /// report of this number, the last one. If the desired state is the known one too, the lists of
    /// the answer are empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_before: Option<u64>,
    /// What the machine says of itself; it goes with the reports and is absent where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// What it gives to other nodes, if it is set to; it goes with the reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
}

impl Heartbeat {
    /// That of a node that has nothing, runs nothing, knows nothing yet and does not wait.
    pub const fn new(node: NodeId, name: Name) -> Self {
        Self {
            node,
            name,
            releases: Vec::new(),
            replicas: Vec::new(),
            known: 0,
            wait_millis: 0,
            isolation: None,
            as_before: None,
            machine: None,
            sharing: None,
        }
    }
}

/// What a node should have and run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Desired {
    /// A number for this state.
    pub version: u64,
    /// The engine of the instances' databases, `sqlite` or `postgres`: build hooks are told.
    pub engine: String,
    /// What it should have.
    pub releases: Vec<DesiredRelease>,
    /// What it should run.
    pub replicas: Vec<DesiredReplica>,
    /// The number of the report that was heard last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<u64>,
    /// What somebody waits to read of what is printed there; each is said once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogWish>,
    /// The Ed25519 public key that signs tickets for packages, 64 hexadecimal digits; it goes with
    /// the lists, to nodes that give packages to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_key: Option<String>,
}

impl Desired {
    /// For whoever knows this state: without the lists.
    #[must_use]
    pub fn brief(&self) -> Self {
        let (releases, replicas) = (Vec::new(), Vec::new());
        let (version, engine, report) = (self.version, self.engine.clone(), self.report);
        let (logs, ticket_key) = (Vec::new(), None);
        Self { version, engine, releases, replicas, report, logs, ticket_key }
    }
}

/// A release to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DesiredRelease {
    /// Its package.
    pub digest: Digest,
    /// Of which service.
    pub service: Name,
    /// What it is.
    pub manifest: Manifest,
    /// Who signed it.
    pub public_key: String,
    /// The publisher's signature of [`signed_text`].
    pub signature: String,
    /// Whether it is the current one of its service.
    #[serde(default)]
    pub is_current: bool,
}

/// A replica to run: one of those of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DesiredReplica {
    /// Its id.
    pub replica: ReplicaId,
    /// Of which release.
    pub digest: Digest,
    /// Of which service.
    pub service: Name,
    /// For which instance, if it serves only one; with that instance's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The instance's size, by which its memory is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Changes whenever the replica must be started anew with a new environment.
    pub generation: u64,
    /// Which process of the release; only `web` and `files` are sent requests.
    #[serde(default = "web", skip_serializing_if = "is_web")]
    pub process: String,
    /// Which of the process's replicas it is, from 0 on.
    #[serde(default, skip_serializing_if = "is_first")]
    pub index: u32,
}

impl DesiredReplica {
    /// Whether it is sent requests.
    pub fn serves(&self) -> bool {
        [WEB, FILES].contains(&self.process.as_str())
    }
}

impl ReplicaReport {
    /// Whether it is sent requests.
    pub fn serves(&self) -> bool {
        [WEB, FILES].contains(&self.process.as_str())
    }

    /// Whether the application itself answers there.
    pub fn is_web(&self) -> bool {
        self.process == WEB
    }

    /// When it is started again and what was heard of it last, if it has failed: `next start in 32
    /// s, last words: …`.
    pub fn fate(&self, now: Timestamp) -> Option<String> {
        let next = self.next_start.filter(|_| self.state.has_failed())?;
        let seconds = next.since(now).as_secs();
        let when = match seconds {
            0 => "next start in a moment".to_owned(),
            _ => format!("next start in {seconds} s"),
        };
        let lines = self.log.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut last: Vec<&str> = lines.rev().take(2).collect();
        last.reverse();
        let words: String = last.join("; ").chars().take(WORDS_CHARS_MAX).collect();
        Some(if words.is_empty() { when } else { format!("{when}, last words: {words}") })
    }
}

/// What whoever knows of no other process means.
fn web() -> String {
    WEB.to_owned()
}

fn is_web(process: &str) -> bool {
    process == WEB
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_first(index: &u32) -> bool {
    *index == 0
}
