//! Connections from visitors: taken, limited, watched, and let end.

mod answering;
mod client;
mod client_stream;
mod connection;
mod ending;
mod framing;
mod http1;
mod http2;
mod limits;
mod listener;
pub(crate) mod threads;
pub(crate) mod tls;
