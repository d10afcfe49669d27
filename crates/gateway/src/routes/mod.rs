//! What the feeds say: which instance a host is, what its release is, and where that is served.
//!
//! Each copy is a persistent map behind one pointer. A request reads it without a lock; a change
//! makes a new map that shares all but a few nodes with the old one, so that a change costs the
//! same with ten hosts and with a hundred thousand.

pub(crate) mod drained;
pub(crate) mod hosts;
pub(crate) mod in_flight;
pub(crate) mod reached;
pub(crate) mod releases;
