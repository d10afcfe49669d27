//! What every component is mounted on: the door, the guard, the feed, the ring of peers, the loop.
//!
//! A component gives a [`Component`]: its name, its tables, its state, and a handler for each of
//! its operations. A [`House`] gives it a [`Room`]: a database, a clock, a seal for secrets, and a
//! client to the other components, whether they stand in this process or elsewhere.
//!
//! A handler that writes gets a [`Write`], which is one transaction and has no way to a peer: so
//! no peer is ever called inside a transaction. What must be told to a peer is a row with a phase,
//! and a reconciler that sees the phase through ([`Component::keeps`]).

mod call;
mod component;
mod decisions;
mod directory;
mod door;
mod failure;
mod feed;
mod guard;
mod house;
mod keys;
mod lease;
mod placements;
mod process;
mod proposal;
mod reconcile;
mod relay;
mod repeat;
mod seal;
mod store;

pub use call::{Call, Room, Write};
pub use component::{CallHandler, Component, WriteHandler};
pub use directory::Directory;
pub use door::problem_response;
pub use failure::database_failed;
pub use feed::{Copy, Freshness, Update, follow};
pub use guard::{Caller, Guard};
pub use house::{House, HouseConfig, MountError};
pub use keys::{KeyRing, Signer};
pub use placements::{Placements, Share};
pub use policy::{Question, Words};
pub use proposal::{PROPOSALS, promoted, promoted_last, proposals, proposed};
pub use reconcile::{Next, pause};
pub use relay::Relay;
pub use seal::{Seal, SealError, hex, private_file, random_secret, replace_private_file, unhex};
