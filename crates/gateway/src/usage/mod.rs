//! What is owed for requests, on its way to billing: written down before an answer is released, kept
//! until billing has it.

pub(crate) mod batch;
pub(crate) mod journal;
mod segment;
pub(crate) mod sender;
pub(crate) mod tail;
