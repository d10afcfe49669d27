//! The components together in one process, with a clock that the test moves: stories told through
//! the client, each on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

#[macro_use]
mod world;

mod access;
mod changes;
mod collect;
mod effects;
mod feed;
mod first_house;
mod heartbeats;
mod identity;
mod jobs;
mod keys;
mod machine;
mod migrations;
mod moves;
mod names;
mod notices;
mod orders;
mod placement;
mod previews;
mod quotas;
mod reached;
mod releases;
mod rights;
mod secrets;
mod setup;
mod sharing;
mod subscriptions;
mod updates;
mod uploads;
