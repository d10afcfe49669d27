//! The endpoints that answer: which of them is asked, over which connection, and whether it is well.

pub(crate) mod balancer;
pub(crate) mod connection;
mod connector;
pub(crate) mod endpoint;
pub(crate) mod health;
pub(crate) mod multiplexed;
pub(crate) mod pool;
mod stream;
