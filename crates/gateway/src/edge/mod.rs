//! Connections from visitors: taken, limited, watched, and let end.

mod client_stream;
mod connection;
mod framing;
mod limits;
pub(crate) mod listener;
