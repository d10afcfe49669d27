//! What each instance is, and its database.
//!
//! An instance is a row that says what should be; a loop makes it so: creating → awaiting set-up →
//! setting up → open. Each step can be repeated, so a crash anywhere is only a pause. What has
//! nothing to ask for is set up by itself, and what waits costs nothing: `jobs` tells how its jobs
//! ended. The
//! configurator alone may create databases: one for each instance, with a user of its own whose
//! password follows from the master key and is stored nowhere. Whatever a gateway must know of an
//! instance is in the feed ([`api::configurator::Route`]); secrets never are.

mod environment;
mod error;
mod instances;
mod reconcile;
mod services;
mod setup;
mod store;

use api::configurator::{
    Changes, GetEnvironment, GetInstance, GetSetup, ListInstances, PutInstance, PutJobResult,
    PutService, ResolveHost, SetMaintenance, SetSuspension, SubmitSetup,
};
use chassis::Component;
use types::Host;

pub(crate) use error::Error;

/// What the configurator needs to know.
#[derive(Clone)]
pub struct Config {
    /// Makes the instances' databases.
    pub engine: db::Engine,
    /// The port at which browsers reach the gateway.
    pub public_port: u16,
}

pub(crate) struct State {
    engine: db::Engine,
    public_port: u16,
}

impl State {
    /// Where a browser finds an instance.
    fn url(&self, host: &Host) -> String {
        match self.public_port {
            80 => format!("http://{host}"),
            port => format!("http://{host}:{port}"),
        }
    }
}

const MIGRATIONS: &[db::Migration] = &[
    db::Migration {
        name: "configurator_0001",
        sql: include_str!("../migrations/0001_configurator.sql"),
    },
    db::Migration { name: "configurator_0002", sql: include_str!("../migrations/0002_setup.sql") },
];

/// The component.
pub fn component(config: Config) -> Component<impl Send + Sync + 'static> {
    let state = State { engine: config.engine, public_port: config.public_port };
    Component::new("configurator", MIGRATIONS, state)
        .writes::<PutService>(services::put_service)
        .writes::<PutInstance>(instances::put_instance)
        .reads::<GetInstance>(instances::get_instance)
        .reads::<ListInstances>(instances::list_instances)
        .writes::<SetSuspension>(instances::set_suspension)
        .writes::<SetMaintenance>(instances::set_maintenance)
        .reads::<GetSetup>(setup::get_setup)
        .writes::<SubmitSetup>(setup::submit_setup)
        .writes::<PutJobResult>(setup::put_job_result)
        .acts::<GetEnvironment>(environment::get_environment)
        .acts::<ResolveHost>(environment::resolve_host)
        .feeds::<Changes>()
        .keeps("instances' databases", reconcile::create)
        .keeps("instances' set-up", reconcile::queue_jobs)
}
