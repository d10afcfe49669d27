//! Runs one SQL text on SQLite or PostgreSQL, migrates and creates databases.
//!
//! The seam is below the query: a component writes each statement once, with `?` for its values, in
//! the subset that both engines read alike (columns are TEXT, BIGINT, BOOLEAN and BYTEA), and this
//! crate runs it on whichever engine the installation has. There are two dialect points, and both
//! are in here: how rows are locked, and how a database is made.
//!
//! In a statement, `/*for update*/` locks the rows that are read until the transaction ends and
//! `/*skip locked*/` passes over those that somebody else has locked. SQLite needs neither, since
//! it has one writer at a time.

mod crash;
mod database;
mod engine;
mod error;
mod migrate;
mod postgres;
mod query;
mod row;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod value;

pub use database::{Db, Tx};
pub use engine::{Engine, EngineKind};
pub use error::Error;
pub use migrate::Migration;
pub use query::{On, Query, query};
pub use row::{Column, Row};
pub use value::{IntoValue, Value};
