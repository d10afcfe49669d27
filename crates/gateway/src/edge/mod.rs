//! Connections from visitors: taken, limited, watched, and let end.

mod answering;
mod client_stream;
mod connection;
mod ending;
mod framing;
mod limits;
mod listener;
pub(crate) mod threads;
