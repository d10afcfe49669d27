//! Runs one SQL text on SQLite or PostgreSQL, migrates and creates databases.
//!
//! The seam is below the query: a component writes each statement once, with `?` for its values, in
//! the subset that both engines read alike (columns are TEXT, BIGINT, BOOLEAN and BYTEA), and this
//! crate runs it on whichever engine the installation has. There are three dialect points, and all
//! are in here: how rows are locked, how a table of values is handed over, and how a database is
//! made.
//!
//! In a statement, `/*for update*/` locks the rows that are read until the transaction ends,
//! `/*for share*/` keeps others from changing them until then, and `/*skip locked*/` passes over
//! those that somebody else has locked. SQLite needs none of it, since it has one writer at a time,
//! and what is read outside of a transaction locks nothing.
//! `{rows}` is a table that [`Rows`] gives, `in {list}` compares with the values of a [`List`].

mod admin;
mod crash;
mod database;
mod engine;
mod error;
mod migrate;
mod postgres;
mod query;
mod row;
mod rows;
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
pub use rows::{List, Rows};
pub use value::{IntoValue, Value};
