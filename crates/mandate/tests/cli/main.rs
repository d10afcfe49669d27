//! The command line as a person and a script see it: the built program against a small platform
//! that speaks the real types.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod access;
mod bills;
mod failures;
mod jobs;
mod keys;
mod nodes;
mod orders;
mod platform;
mod previews;
mod publishing;
mod reference;
mod repository;
mod sessions;
mod tls;
