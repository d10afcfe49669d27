//! What follows from what, apart from any table.

mod another;
mod attempt;
mod payload;
mod place;
mod share;

pub(crate) use another::is_another;
pub(crate) use attempt::{Attempt, Fate, after};
pub(crate) use payload::{is_command, problem_of, shortened};
pub(crate) use place::{State, place};
pub(crate) use share::share;
