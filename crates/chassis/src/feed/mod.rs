//! The change feed, both ends: what a component writes, and what a copy elsewhere reads.

mod follow;
mod followers;
mod log;

pub use follow::{Copy, Freshness, Update, follow};
pub(crate) use followers::{Followers, LEASE_MAX, Refused, forget_the_gone};
pub(crate) use log::{Draft, changes, head, living_followers, remember_follower, snapshot};
