//! How a rollout goes on. Pure.

mod decide;
mod waves;

pub(crate) use decide::{Decision, Seen, Standing, Starting, decide};
pub(crate) use waves::waves;
