//! The tables.

mod change;
mod entry;
mod jobs;
mod keys;
mod lanes;
mod leases;
mod queues;
mod releases;
mod schedules;
mod show;
mod updates;
mod usage;

pub(crate) use change::*;
pub(crate) use entry::*;
pub(crate) use jobs::*;
pub(crate) use keys::*;
pub(crate) use lanes::*;
pub(crate) use leases::*;
pub(crate) use queues::*;
pub(crate) use releases::*;
pub(crate) use schedules::*;
pub(crate) use show::*;
pub(crate) use updates::*;
pub(crate) use usage::*;

type Result<T> = std::result::Result<T, db::Error>;

#[cfg(test)]
mod tests;
