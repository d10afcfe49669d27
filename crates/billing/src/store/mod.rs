//! Every SQL statement.

mod events;
mod prices;
mod subscriptions;
mod usage;
mod verifications;

pub(crate) use events::{
    EventKey, UsageQuery, events, events_between, events_until, newest_events,
};
pub(crate) use prices::{
    book_at, books, books_of, insert_service, put_book, put_words, service_to_change, sold,
    words_of,
};
pub(crate) use subscriptions::{cycle, insert_cycle, insert_terms, taken, terms};
pub(crate) use usage::{
    Numbered, add_to_total, insert_events, insert_source, next_revision, set_progress,
    source_to_change, sums,
};

pub(crate) use verifications::{
    Ending, Step, UnderWay, begin_verification, end_verification, keep_step, next_verification,
    verification,
};

pub(crate) type Stored<T> = Result<T, db::Error>;
