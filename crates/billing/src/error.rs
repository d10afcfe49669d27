//! What can go wrong here, and what is said about it.

use api::Problem;
use types::{Host, InstanceId, MoneyError, Name, Timestamp};

/// Why billing refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "the path says `{path}` and the price book is of `{book}`: send each to its own service"
    )]
    OtherService { path: Name, book: Name },
    #[error("{0}")]
    Book(String),
    #[error("the price book lacks {what}, which instances have: add `{key}`")]
    Sold { what: String, key: String },
    #[error(
        "`{service}` is priced in {known}, and a service keeps its currency: write `currency = \
         \"{known}\"`"
    )]
    Currency { service: Name, known: String },
    #[error(
        "other prices of `{service}` hold from {effective} on already: give the new ones a later \
         `effective`"
    )]
    OtherPrices { service: Name, effective: Timestamp },
    #[error("prices cannot change what was billed: let `effective` be {earliest} or later")]
    Backdated { earliest: Timestamp },
    #[error(
        "`{0}` has 200 versions of prices, and there cannot be more: replace one that does not \
         hold yet"
    )]
    Versions(Name),
    #[error("`{service}` has no prices that hold at {at}: publish a price book that does")]
    NoPrices { service: Name, at: Timestamp },
    #[error("`{service}` has no price for {what}: choose what is on offer")]
    NotOnOffer { service: Name, what: String },
    #[error("instance `{0}` belongs to another account or service, and that cannot change")]
    Fixed(InstanceId),
    #[error(
        "`{0}` names the lines of another instance on this account's bills: say another host name"
    )]
    HostNamesOther(Host),
    #[error("instance `{instance}` took something else at {since}: say from another moment on")]
    OtherTerms { instance: InstanceId, since: Timestamp },
    #[error("{0} is more than a day ahead: say what holds now")]
    Ahead(Timestamp),
    #[error("an instance can have at most 100 modules, and change what it takes 10,000 times")]
    TooManyTerms,
    #[error("at most 100 subscriptions are checked at a time: ask several times")]
    TooManyWishes,
    #[error(
        "a source of usage is named after who counts, such as `{0}` or `{0}/main`, with at most \
         100 characters"
    )]
    Source(String),
    #[error("{0}")]
    Batch(String),
    #[error(
        "the events before number {expected} have not come: send from {expected} on, or have an \
         operator accept the gap"
    )]
    Gap { expected: u64 },
    #[error(
        "this epoch began with number {first}, and an earlier event cannot be told from a lost \
         one: begin a new epoch"
    )]
    BeforeEpoch { first: u64 },
    #[error(
        "event number {0} was sent before and was something else: begin a new epoch for new events"
    )]
    OtherEvent(u64),
    #[error("`{0}` is not where a page begins: send the `next` of the page before")]
    Cursor(String),
    #[error("{0} is in no month that has a bill: ask for one from 2000 to 2199")]
    Month(Timestamp),
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
            Error::Month(_) => Self::invalid("month", detail),
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
