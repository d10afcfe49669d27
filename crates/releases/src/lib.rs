//! What should run where: packages, releases, nodes and their replicas.
//!
//! A release is an immutable package, named by its digest and signed by its publisher. Publishing
//! checks it in full, then asks everybody who must agree (configurator, access, jobs, billing,
//! provider); then it is staged, and nodes make it ready. Promoting it makes it the current one:
//! everybody is told, and instances move to it. Nodes ask what they should have and run ([`plan`]
//! says so, from what is desired and what they report) and do it; healthy replicas are told to the
//! gateways by the feed.

mod announce;
mod collect;
mod error;
mod gone;
mod in_use;
mod kept;
mod keys;
mod known;
mod logs;
mod moves;
mod nodes;
mod number;
mod packages;
mod places;
mod placing;
mod plan;
mod planning;
mod preview;
mod publish;
mod reached;
mod readiness;
mod records;
mod rollout;
mod rollouts;
mod said;
mod serving;
mod sources;
mod storage;
mod store;
mod told;
mod updates;
mod uploads;

use std::{sync::atomic::AtomicBool, time::Duration};

use api::{
    configurator, identity,
    releases::{
        Changes, DistrustKey, DrainNode, FindPackage, GetPackage, GetPackagePart, GetReadiness,
        GetRollout, GetStanding, GetUpdate, Heartbeat, KeepReleases, ListMoves, ListNodes,
        ListReleases, ListRollouts, ListServiceKeys, ListServices, PACKAGE_PART_BYTES_MAX,
        PreviewRelease, PromoteRelease, PublishRelease, PutLogs, PutPackage, PutPackagePart,
        PutReached, ReadInstanceLogs, ReadServiceLogs, RefillNode, SteerRollout, TrustKey,
    },
};
use chassis::{Component, Signer};
use db::EngineKind;

pub(crate) use error::Error;
pub use storage::Storage;

/// What releases needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where packages lie.
    pub packages: Storage,
    /// The engine of the instances' databases, which build hooks are told.
    pub engine: EngineKind,
    /// How long instances wait for a node that is silent before they move; for ever if absent.
    pub move_after: Option<Duration>,
}

/// How long instances wait for a node that is silent, unless said otherwise.
pub const MOVE_AFTER: Duration = Duration::from_mins(5);

pub(crate) struct State {
    storage: Storage,
    signer: Signer,
    turns: uploads::Turns,
    /// When it was last looked which packages are needed.
    collected: tokio::sync::Mutex<Option<types::Timestamp>>,
    engine: EngineKind,
    move_after: Option<Duration>,
    placing: places::Placing,
    planning: planning::Planning,
    nodes: known::Nodes,
    reached: reached::Reached,
    wishes: logs::Wishes,
    /// The releases that the feed tells of, once that is known.
    told: tokio::sync::Mutex<Option<in_use::Releases>>,
    /// What access was told, and what that followed from.
    kept: tokio::sync::Mutex<told::Kept>,
    /// Held by whoever announces.
    announcing: tokio::sync::Mutex<()>,
    /// Whether everybody has been told since the start what is current.
    reminded: AtomicBool,
}

const MIGRATIONS: &[db::Migration] = &[
    db::Migration { name: "releases_0001", sql: include_str!("../migrations/0001_releases.sql") },
    db::Migration { name: "releases_0002", sql: include_str!("../migrations/0002_turns.sql") },
    db::Migration { name: "releases_0003", sql: include_str!("../migrations/0003_healthy.sql") },
    db::Migration { name: "releases_0004", sql: include_str!("../migrations/0004_reports.sql") },
    db::Migration { name: "releases_jobs", sql: include_str!("../migrations/0004_jobs.sql") },
    db::Migration {
        name: "releases_placements",
        sql: include_str!("../migrations/0010_placements.sql"),
    },
    db::Migration { name: "releases_told", sql: include_str!("../migrations/0011_told.sql") },
    db::Migration {
        name: "releases_rollouts",
        sql: include_str!("../migrations/0012_rollouts.sql"),
    },
    db::Migration { name: "releases_moves", sql: include_str!("../migrations/0013_moves.sql") },
    db::Migration { name: "releases_kept", sql: include_str!("../migrations/0014_kept.sql") },
    db::Migration { name: "releases_keys", sql: include_str!("../migrations/0020_keys.sql") },
    db::Migration { name: "releases_source", sql: include_str!("../migrations/0021_source.sql") },
    db::Migration { name: "releases_agreed", sql: include_str!("../migrations/0030_agreed.sql") },
    db::Migration { name: "releases_uploads", sql: include_str!("../migrations/0031_uploads.sql") },
    db::Migration {
        name: "releases_packages",
        sql: include_str!("../migrations/0032_packages.sql"),
    },
    db::Migration {
        name: "releases_publishers",
        sql: include_str!("../migrations/0033_publishers.sql"),
    },
];

/// The component; `signer` is its own key, whose tickets open packages on nodes.
pub fn component(config: Config, signer: Signer) -> Component<impl Send + Sync + 'static> {
    let state = State {
        storage: config.packages,
        signer,
        turns: uploads::Turns::default(),
        collected: tokio::sync::Mutex::default(),
        engine: config.engine,
        move_after: config.move_after,
        placing: places::Placing::default(),
        planning: planning::Planning::new(),
        nodes: known::Nodes::default(),
        reached: reached::Reached::default(),
        wishes: logs::Wishes::default(),
        told: tokio::sync::Mutex::default(),
        kept: tokio::sync::Mutex::default(),
        announcing: tokio::sync::Mutex::default(),
        reminded: AtomicBool::default(),
    };
    Component::new("releases", MIGRATIONS, state)
        .opens(gone::remember)
        .reads::<GetPackage>(uploads::get_package)
        .takes_bytes::<PutPackagePart, _, _, _>(PACKAGE_PART_BYTES_MAX, uploads::put_package_part)
        .gives_bytes::<GetPackagePart, _, _, _>(packages::get_package_part)
        .reads::<FindPackage>(sources::find_package)
        .acts::<PutPackage>(uploads::put_package)
        .acts::<PublishRelease>(publish::publish_release)
        .reads::<ListReleases>(publish::list_releases)
        .reads::<ListServiceKeys>(keys::list_service_keys)
        .acts::<TrustKey>(keys::trust_key)
        .acts::<DistrustKey>(keys::distrust_key)
        .reads::<PreviewRelease>(preview::preview_release)
        .acts::<PromoteRelease>(rollouts::promote_release)
        .acts::<SteerRollout>(rollouts::steer_rollout)
        .reads::<ListRollouts>(rollouts::list_rollouts)
        .reads::<GetRollout>(rollouts::get_rollout)
        .reads::<ListMoves>(rollouts::list_moves)
        .reads::<ListServices>(publish::list_services)
        .reads::<ListNodes>(nodes::list_nodes)
        .acts::<DrainNode>(nodes::drain_node)
        .acts::<RefillNode>(nodes::refill_node)
        .reads::<GetReadiness>(readiness::get_readiness)
        .reads::<GetUpdate>(updates::get_update)
        .reads::<GetStanding>(serving::get_standing)
        .acts::<PutReached>(reached::put_reached)
        .acts::<KeepReleases>(kept::keep_releases)
        .reads::<ReadInstanceLogs>(logs::read_instance_logs)
        .reads::<ReadServiceLogs>(logs::read_service_logs)
        .acts::<PutLogs>(logs::put_logs)
        .acts::<Heartbeat>(nodes::heartbeat)
        .feeds::<Changes>()
        .follows::<configurator::Changes>(|room, update| room.state().planning.apply(&update))
        .follows::<identity::Changes>(|room, update| room.state().nodes.apply(&update))
        .keeps("announcements", announce::step)
        .keeps("what everybody knows of releases", announce::remind)
        .keeps("what is known of nodes", gone::step)
        .keeps("where instances are", places::step)
        .keeps("what the gateways know of releases", told::tell)
        .keeps("what access knows of releases", told::tell_access)
        .keeps("rollouts", moves::step)
        .sweeps("what is being sent", uploads::step)
        .keeps("the packages that are needed", collect::step)
}
