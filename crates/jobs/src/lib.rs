//! What must still be done, by whom, and whether it was.
//!
//! Jobs stand in one table, and wait in lanes: one for each instance and kind of job, which is a
//! name and a version. Instances take turns, so that a flood of one never delays another. A worker
//! gets what its releases accept, under a lease with a fencing token: it must report before the
//! lease runs out, and a report under an older token changes nothing, so a worker that was thought
//! dead cannot overwrite what its successor did. A job may therefore be begun more than once and
//! must bear that; it ends once. The command that is run comes from a release's manifest and never
//! from whoever queues a job; where the manifest says so, its arguments do. The time that each took, by this component's own clock, is told to
//! billing.

mod again;
mod aside;
mod claim;
mod commands;
mod due;
mod ends;
mod enqueue;
mod error;
mod fates;
mod instances;
mod limits;
mod model;
mod needed;
mod offers;
mod queues;
mod releases;
mod reports;
mod schedules;
mod services;
mod setups;
mod show;
mod store;
mod successes;
mod ticks;
mod usage;
mod workers;

use std::sync::atomic::{AtomicI64, Ordering};

use api::jobs::{
    BeginUsage, CancelJob, CancelServiceJob, CountJobsLeft, CountWaiting, DropJobs, EnqueueJobs,
    EnqueueServiceJobs, GetInstanceJob, GetJob, GetQueue, GetServiceJob, LeaseJobs,
    ListInstanceJobs, ListJobs, ListQueues, PromoteJobs, PutInstances, PutJob, PutJobs,
    QuietInstance, ReplayJob, ReplayJobs, ReportJobs, RunCommand, SetJobsAside, SetQueue,
    WithdrawSetup,
};
use chassis::{Component, Placements, Room};

pub(crate) use error::Error;

/// What is kept in memory, and can be lost.
#[derive(Default)]
pub(crate) struct State {
    releases: releases::Remembered,
    /// The releases that lanes are to be done by.
    in_use: offers::InUse,
    workers: workers::Workers,
    /// The releases that were told to be needed.
    needed: tokio::sync::Mutex<needed::Told>,
    /// What runs on which node.
    placements: Placements,
    /// Held by whoever hands out jobs.
    claiming: tokio::sync::Mutex<()>,
    /// Held by whoever makes ready what is due.
    making_due: tokio::sync::Mutex<()>,
    /// The latest turn that an instance has had.
    turn: AtomicI64,
}

const MIGRATIONS: &[db::Migration] = &[
    db::Migration { name: "jobs_0001", sql: include_str!("../migrations/0001_jobs.sql") },
    db::Migration { name: "jobs_0002", sql: include_str!("../migrations/0002_turns.sql") },
    db::Migration {
        name: "jobs_usage_epoch",
        sql: include_str!("../migrations/0002_usage_epoch.sql"),
    },
    chassis::PROPOSALS,
    db::Migration { name: "jobs_lanes", sql: include_str!("../migrations/0003_lanes.sql") },
    db::Migration { name: "jobs_schedules", sql: include_str!("../migrations/0010_schedules.sql") },
    db::Migration { name: "jobs_leases", sql: include_str!("../migrations/0011_leases.sql") },
    db::Migration {
        name: "jobs_ready_by_job",
        sql: include_str!("../migrations/0012_ready_by_job.sql"),
    },
    db::Migration {
        name: "jobs_lanes_say_whose",
        sql: include_str!("../migrations/0013_lanes_say_whose.sql"),
    },
    db::Migration {
        name: "jobs_instances_are_on_releases",
        sql: include_str!("../migrations/0014_releases.sql"),
    },
    db::Migration { name: "jobs_updates", sql: include_str!("../migrations/0015_updates.sql") },
];

/// The component.
pub fn component() -> Component<impl Send + Sync + 'static> {
    Component::new("jobs", MIGRATIONS, State::default())
        .opens(remember_turns)
        .opens(offers::remember)
        .writes::<EnqueueJobs>(enqueue::enqueue_jobs)
        .writes::<RunCommand>(commands::run_command)
        .writes::<EnqueueServiceJobs>(services::enqueue)
        .reads::<GetServiceJob>(services::get)
        .writes::<CancelServiceJob>(services::cancel)
        .writes::<PutJob>(setups::put_job)
        .writes::<WithdrawSetup>(setups::withdraw_setup)
        .reads::<GetJob>(show::get_job)
        .reads::<GetInstanceJob>(show::get_instance_job)
        .reads::<ListInstanceJobs>(show::list_instance_jobs)
        .reads::<ListJobs>(show::list_jobs)
        .writes::<CancelJob>(again::cancel_job)
        .writes::<ReplayJob>(again::replay_job)
        .writes::<ReplayJobs>(again::replay_jobs)
        .acts::<LeaseJobs>(claim::lease_jobs)
        .writes::<ReportJobs>(reports::report_jobs)
        .reads::<ListQueues>(queues::list_queues)
        .reads::<GetQueue>(queues::get_queue)
        .writes::<SetQueue>(queues::set_queue)
        .writes::<PutJobs>(releases::put_jobs)
        .writes::<PromoteJobs>(releases::promote_jobs)
        .reads::<CountWaiting>(releases::count_waiting)
        .writes::<DropJobs>(releases::drop_jobs)
        .writes::<PutInstances>(instances::put_instances)
        .acts::<QuietInstance>(instances::quiet_instance)
        .reads::<CountJobsLeft>(instances::count_jobs_left)
        .writes::<SetJobsAside>(aside::set_jobs_aside)
        .writes::<BeginUsage>(usage::begin_usage)
        .follows::<api::releases::Changes>(|room, update| room.state().placements.apply(&update))
        .sweeps("leases", reports::expire)
        .keeps("jobs that are due", due::wait_for_due)
        .keeps("jobs that recur", ticks::queue_due)
        .keeps("jobs that are held", due::release_held)
        .sweeps("jobs that are stranded", workers::look_for_stranded)
        .keeps("releases that old jobs need", needed::tell_releases)
        .keeps("jobs of instances that have ended", instances::drop_jobs)
        .sweeps("jobs that ended long ago", due::forget)
        .keeps("ends of jobs", ends::tell_configurator)
        .keeps("usage", usage::tell_billing)
}

/// Whoever was served before a restart waits behind those who were not.
async fn remember_turns(room: Room<State>) -> Result<(), Error> {
    let last = store::last_turn(room.db()).await?;
    room.state().turn.store(last, Ordering::SeqCst);
    Ok(())
}
