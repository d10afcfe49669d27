//! How an operation travels: the trait, the problem, the client, the token and the document.

mod client;
mod connections;
mod headers;
#[macro_use]
mod operation;
mod openapi;
mod problem;
pub mod token;
mod wire;

pub use client::{
    Client, Connector, Credentials, FORWARDED_FOR, Remote, Sending, Transport, TransportError,
    connector,
};
pub use connections::Connections;
pub use headers::{cookies, remove_hop_by_hop};
pub use openapi::openapi;
pub use operation::{Asker, Empty, Listing, Operation, lower_first_after};
pub use problem::{Kind, Problem};
pub use wire::{decode, encode};
