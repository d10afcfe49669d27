//! Nouns and rules: what is billed, and how. Pure.

mod batch;
mod bill;
mod book;
mod facts;
mod meters;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod time_lines;
mod timeline;
mod usage_lines;
mod words;

pub(crate) use batch::{Checked, Progress, checked_events, known_part};
pub(crate) use bill::{LINE_MINOR_MAX, Rated, Source, rate, totals};
pub(crate) use book::check_words;
pub(crate) use facts::{Facts, Prices, Taken, Terms, UsageSum, hour_of, is_billable};
pub(crate) use words::{in_job_seconds, line_name, rounding};
