//! What can go wrong here, and what is said about it.

use api::Problem;
use types::{Host, InstanceId, MoneyError, Name, Timestamp};

/// Why billing refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the price book of `{book}` was sent to `{path}`: send it to its own service")]
    OtherService { path: Name, book: Name },
    #[error("{0}")]
    Book(String),
    #[error("the price book lacks {what}, which instances have: add `{key}`")]
    Sold { what: String, key: String },
    #[error(
        "`{service}` is priced in {known}, and its currency cannot change: write `currency = \
         \"{known}\"`"
    )]
    Currency { service: Name, known: String },
    #[error(
        "different prices of `{service}` already begin at {effective}: give the new ones a later \
         `effective`"
    )]
    OtherPrices { service: Name, effective: Timestamp },
    #[error("prices cannot take effect in the past: set `effective` to {earliest} or later")]
    Backdated { earliest: Timestamp },
    #[error(
        "`{0}` already has 200 versions of its prices, which is the limit: replace one that does \
         not hold yet"
    )]
    Versions(Name),
    #[error("`{service}` has no prices for {at}: publish a price book that begins by then")]
    NoPrices { service: Name, at: Timestamp },
    #[error("`{service}` has no price for {what}: choose something that is on offer")]
    NotOnOffer { service: Name, what: String },
    #[error("instance `{0}` belongs to another account or service, which cannot be changed")]
    Fixed(InstanceId),
    #[error(
        "`{0}` is already the name of another instance on this account's bills: use another host \
         name"
    )]
    HostNamesOther(Host),
    #[error(
        "instance `{instance}` already has different terms from {since} on: begin at another \
             time"
    )]
    OtherTerms { instance: InstanceId, since: Timestamp },
    #[error("{0} is more than a day in the future: send the terms that hold now")]
    Ahead(Timestamp),
    #[error("an instance can have at most 100 modules and 10,000 changes of its terms")]
    TooManyTerms,
    #[error("at most 100 subscriptions are checked at a time: split the request")]
    TooManyWishes,
    #[error(
        "the name of a usage source must begin with its component, such as `{0}` or `{0}/main`, \
         and have at most 100 characters"
    )]
    Source(String),
    #[error("{0}")]
    Batch(String),
    #[error(
        "the events from number {expected} on are missing: send them first, or let an operator \
         accept the gap"
    )]
    Gap { expected: u64 },
    #[error(
        "this epoch began with number {first}, and earlier events cannot be added to it: begin a \
         new epoch"
    )]
    BeforeEpoch { first: u64 },
    #[error("a different event number {0} was sent before: begin a new epoch for new events")]
    OtherEvent(u64),
    #[error("`{0}` is not the start of a page: send the `next` of the page before")]
    Cursor(String),
    #[error("there are no bills for {0}: choose a month from 2000 to 2199")]
    Month(Timestamp),
    #[error("the month that begins at {0} has no bill yet: choose this month or an earlier one")]
    NotBegun(Timestamp),
    #[error("there is no such {0}")]
    Missing(&'static str),
    #[error("the bill cannot be computed: {0}")]
    Money(#[from] MoneyError),
    #[error("the database failed")]
    Database(#[from] db::Error),
    /// A peer refused, or the chassis did.
    #[error(transparent)]
    Refused(#[from] Problem),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::OtherService { .. } | Error::Book(_) | Error::Currency { .. } => {
                Self::invalid("price_book", detail)
            }
            Error::Sold { .. } => Self::conflict("price_missing", detail),
            Error::OtherPrices { .. } => Self::conflict("price_book_exists", detail),
            Error::Backdated { .. } => Self::conflict("price_book_backdated", detail),
            Error::Versions(_) => Self::conflict("price_book_versions", detail),
            Error::NoPrices { .. } => Self::conflict("no_prices", detail),
            Error::NotOnOffer { .. } => Self::invalid("not_on_offer", detail),
            Error::Fixed(_) | Error::OtherTerms { .. } => Self::conflict("subscription", detail),
            Error::HostNamesOther(_) => Self::conflict("subscription_host", detail),
            Error::Ahead(_) | Error::TooManyTerms | Error::TooManyWishes => {
                Self::invalid("subscription", detail)
            }
            Error::Source(_) | Error::Batch(_) => Self::invalid("usage", detail),
            Error::Gap { .. } => Self::conflict("usage_gap", detail),
            Error::BeforeEpoch { .. } => Self::conflict("usage_before_epoch", detail),
            Error::OtherEvent(_) => Self::conflict("usage_differs", detail),
            Error::Month(_) | Error::NotBegun(_) => Self::invalid("month", detail),
            Error::Cursor(_) => Self::invalid("cursor", detail),
            Error::Missing(what) => Self::not_found(what),
            Error::Money(cause) => {
                tracing::error!(%cause, "a bill cannot be computed");
                Self::new(api::Kind::Internal, "bill", detail)
            }
            Error::Database(cause) => chassis::database_failed("billing", &cause),
            Error::Refused(problem) => problem,
        }
    }
}
