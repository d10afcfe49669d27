//! What must still be done, by whom, and whether it was.
//!
//! One queue for each service, and they take turns, so that a flood in one never delays another. A
//! worker gets a job
//! under a lease with a fencing token: it must report before the lease runs out, and a report
//! under an older token is refused, so a worker that was thought dead cannot overwrite what its
//! successor did. A job may therefore be begun more than once and must bear that; it ends once.
//! The time that each attempt took, by this component's own clock, is told to billing.

mod ends;
mod error;
mod leases;
mod queues;
mod store;
mod usage;

use api::jobs::{
    CancelJob, DropJobs, EnqueueJobs, GetInstanceJob, GetJob, GetQueue, LeaseJobs,
    ListInstanceJobs, ListJobs, ListQueues, PromoteJobs, PutInstance, PutJob, PutJobs, ReplayJob,
    ReplayJobs, ReportJobs, SetQueue,
};
use chassis::Component;

pub(crate) use error::Error;

/// Jobs keeps nothing in memory.
pub(crate) struct State;

const MIGRATIONS: &[db::Migration] = &[
    db::Migration { name: "jobs_0001", sql: include_str!("../migrations/0001_jobs.sql") },
    db::Migration { name: "jobs_0002", sql: include_str!("../migrations/0002_turns.sql") },
    db::Migration {
        name: "jobs_usage_epoch",
        sql: include_str!("../migrations/0002_usage_epoch.sql"),
    },
];

/// The component.
pub fn component() -> Component<impl Send + Sync + 'static> {
    Component::new("jobs", MIGRATIONS, State)
        .writes::<PutJob>(queues::put_job)
        .reads::<GetJob>(queues::get_job)
        .reads::<ListInstanceJobs>(queues::list_instance_jobs)
        .reads::<ListJobs>(queues::list_jobs)
        .acts::<LeaseJobs>(leases::lease_jobs)
        .writes::<ReportJobs>(leases::report_jobs)
        .reads::<GetInstanceJob>(queues::get_instance_job)
        .acts::<EnqueueJobs>(queues::not_yet::<EnqueueJobs>)
        .acts::<CancelJob>(queues::not_yet::<CancelJob>)
        .acts::<ReplayJob>(queues::not_yet::<ReplayJob>)
        .acts::<ReplayJobs>(queues::not_yet::<ReplayJobs>)
        .acts::<GetQueue>(queues::not_yet::<GetQueue>)
        .acts::<PutJobs>(queues::not_yet::<PutJobs>)
        .acts::<PromoteJobs>(queues::not_yet::<PromoteJobs>)
        .acts::<DropJobs>(queues::not_yet::<DropJobs>)
        .acts::<PutInstance>(queues::not_yet::<PutInstance>)
        .reads::<ListQueues>(queues::list_queues)
        .writes::<SetQueue>(queues::set_queue)
        .keeps("leases", leases::expire)
        .keeps("ends of jobs", ends::tell_configurator)
        .keeps("jobs that ended long ago", ends::forget)
        .keeps("usage", usage::tell_billing)
}
