//! Every SQL statement.

mod events;
mod prices;
mod set_aside;
mod subscriptions;
mod usage;
mod verifications;

pub(crate) use events::{EventKey, UsageQuery, events, events_until, known_events, newest_events};
pub(crate) use prices::{
    book_at, books, books_now, books_of, delete_service_without_prices, insert_service, put_book,
    put_words, service_to_change, sold, words_of,
};
pub(crate) use set_aside::{
    accept_gap, gap, gaps, insert_set_aside, note_gap, set_aside, set_aside_count,
};
pub(crate) use subscriptions::{
    cycle, delete_terms, had, insert_cycle, insert_terms, is_sold, taken, taken_of, terms,
};
pub(crate) use usage::{
    Numbered, add_to_total, insert_events, insert_source, next_revision, set_progress,
    source_to_change, sums,
};

pub(crate) use verifications::{
    Ending, Step, UnderWay, begin_verification, end_verification, keep_step, next_verification,
    verification,
};

pub(crate) type Stored<T> = Result<T, db::Error>;
