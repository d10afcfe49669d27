//! What each instance is, and its database.
//!
//! An instance is a row that says what should be; a loop makes it so: creating → awaiting set-up →
//! setting up → open. Each step can be repeated, so a crash anywhere is only a pause. What has
//! nothing to ask for is set up by itself, and what waits costs nothing: `jobs` tells how its jobs
//! ended. The
//! configurator alone may create databases: one for each instance, with a user of its own whose
//! password follows from the master key and is stored nowhere. Whatever a gateway must know of an
//! instance is in the feed ([`api::configurator::Route`]); secrets never are.

mod databases;
mod environment;
mod error;
mod instances;
mod manifests;
mod model;
mod moves;
mod reconcile;
mod secrets;
mod services;
mod setup;
mod store;
mod told;

use api::configurator::{
    Changes, DropService, FindInstance, GetClosedTime, GetEnvironment, GetHosts, GetInstance,
    GetSetup, ListAllInstances, ListInstances, MoveInstances, PromoteService, PutInstance,
    PutJobResult, PutQuiet, PutService, RepeatInstances, ResolveHost, RotateSecret, SetFreeze,
    SetMaintenance, SetSuspension, SubmitSetup, TurnBack,
};
use chassis::{Component, Placements};
use types::{Host, Secret, Site};

pub(crate) use error::Error;

/// What the configurator needs to know.
#[derive(Clone)]
pub struct Config {
    /// Makes the instances' databases.
    pub engine: db::Engine,
    /// How browsers reach the gateway.
    pub site: Site,
    /// Where instances send mail; nowhere if absent.
    pub mail: Option<Mail>,
    /// A larger database is not copied before it is migrated, in bytes; any is if absent.
    pub snapshot_max: Option<u64>,
}

/// Where instances send mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The server, `smtps://USER:PASSWORD@HOST:465`.
    pub url: Secret,
    /// Whom it is from unless an application knows better.
    pub from: String,
}

pub(crate) struct State {
    engine: db::Engine,
    site: Site,
    mail: Option<Mail>,
    snapshot_max: Option<u64>,
    /// What runs on which node.
    placements: Placements,
    /// Which gateways have nothing under way.
    quiet: moves::Quiet,
    /// Those who look after instances on their way.
    wakes: moves::Wakes,
}

impl State {
    /// Where a browser finds an instance.
    fn url(&self, host: &Host) -> String {
        self.site.origin(host)
    }
}

const MIGRATIONS: &[db::Migration] = &[
    db::Migration {
        name: "configurator_0001",
        sql: include_str!("../migrations/0001_configurator.sql"),
    },
    db::Migration { name: "configurator_0002", sql: include_str!("../migrations/0002_setup.sql") },
    chassis::PROPOSALS,
    db::Migration {
        name: "configurator_job_states",
        sql: include_str!("../migrations/0003_job_states.sql"),
    },
    db::Migration {
        name: "configurator_0004",
        sql: include_str!("../migrations/0004_secrets.sql"),
    },
    db::Migration {
        name: "configurator_0005",
        sql: include_str!("../migrations/0005_setup_page.sql"),
    },
    db::Migration { name: "configurator_0006", sql: include_str!("../migrations/0006_later.sql") },
    db::Migration {
        name: "configurator_releases",
        sql: include_str!("../migrations/0007_releases.sql"),
    },
    db::Migration { name: "configurator_told", sql: include_str!("../migrations/0008_told.sql") },
    db::Migration { name: "configurator_moves", sql: include_str!("../migrations/0009_moves.sql") },
    db::Migration {
        name: "configurator_freeze",
        sql: include_str!("../migrations/0010_freeze.sql"),
    },
    db::Migration {
        name: "configurator_turned",
        sql: include_str!("../migrations/0011_turned.sql"),
    },
    db::Migration { name: "configurator_lost", sql: include_str!("../migrations/0012_lost.sql") },
    db::Migration {
        name: "configurator_move_service",
        sql: include_str!("../migrations/0013_move_service.sql"),
    },
    db::Migration {
        name: "configurator_told_as",
        sql: include_str!("../migrations/0014_told_as.sql"),
    },
];

/// The component.
pub fn component(config: Config) -> Component<impl Send + Sync + 'static> {
    let Config { engine, site, mail, snapshot_max } = config;
    let state = State {
        engine,
        site,
        mail,
        snapshot_max,
        placements: Placements::default(),
        quiet: moves::Quiet::default(),
        wakes: moves::Wakes::default(),
    };
    Component::new("configurator", MIGRATIONS, state)
        .opens(moves::put_on_releases)
        .writes::<PutService>(services::put_service)
        .writes::<PromoteService>(services::promote_service)
        .writes::<DropService>(services::drop_service)
        .writes::<PutInstance>(instances::put_instance)
        .reads::<GetInstance>(instances::get_instance)
        .reads::<ListInstances>(instances::list_instances)
        .reads::<ListAllInstances>(instances::list_all_instances)
        .reads::<FindInstance>(instances::find_instance)
        .reads::<GetHosts>(instances::get_hosts)
        .writes::<SetSuspension>(instances::set_suspension)
        .writes::<SetFreeze>(instances::set_freeze)
        .writes::<MoveInstances>(moves::move_instances)
        .writes::<TurnBack>(moves::turn_back)
        .reads::<GetClosedTime>(moves::get_closed_time)
        .acts::<PutQuiet>(moves::put_quiet)
        .writes::<SetMaintenance>(instances::set_maintenance)
        .writes::<RepeatInstances>(instances::repeat_instances)
        .writes::<RotateSecret>(secrets::rotate_secret)
        .reads::<GetSetup>(setup::get_setup)
        .writes::<SubmitSetup>(setup::submit_setup)
        .writes::<PutJobResult>(setup::put_job_result)
        .acts::<GetEnvironment>(environment::get_environment)
        .acts::<ResolveHost>(environment::resolve_host)
        .feeds::<Changes>()
        .follows::<api::releases::Changes>(|room, update| {
            room.state().placements.apply(&update);
            room.state().wakes.wake_all();
        })
        .keeps("instances' databases", reconcile::create)
        .keeps("instances' set-up", reconcile::queue_jobs)
        .keeps("set-ups on a former release", reconcile::withdraw_setups)
        .keeps("instances that move", moves::go_on)
        .keeps("databases that were moved from", moves::remove_former)
        .keeps("what jobs know of instances", told::tell_jobs)
}
