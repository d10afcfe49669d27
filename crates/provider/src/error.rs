//! What can go wrong here, and what is said about it.

use api::{Kind, Problem};
use types::{Host, Name};

/// Why the provider refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no service `{0}` on offer; list what there is with `mandate offer list`")]
    NoOffer(Name),
    #[error("`{service}` has no plan `{plan}`; choose one of {plans}")]
    Plan { service: Name, plan: String, plans: String },
    #[error("`{service}` has several plans; choose one of {plans}")]
    WhichPlan { service: Name, plans: String },
    #[error("`{service}` has no size `{size}`; choose one of {sizes}")]
    Size { service: Name, size: String, sizes: String },
    #[error("{0}")]
    Modules(String),
    #[error("the host `{0}` is taken already; choose another one")]
    HostTaken(Host),
    #[error(
        "the host `{0}` is reserved for the platform; choose another one, such as \
             `my-shop.{1}`"
    )]
    HostReserved(Host, String),
    #[error(
        "`{0}` cannot be reached from the internet; choose a subdomain of `{1}`, such as \
         `my-shop.{1}`, or of a public domain, such as `my-shop.example.com`"
    )]
    HostNotPublic(Host, String),
    #[error(
        "`{0}` is a subdomain or a parent domain of another account's host, and browsers share \
         cookies between such hosts; choose another one"
    )]
    HostCrosses(Host),
    #[error(
        "this account has reached its limit of {0} instances; an operator can raise it with \
         `mandate order quota --instances`"
    )]
    Instances(u32),
    #[error(
        "this account has reached its limit of {0} orders and changes an hour; try again \
             later"
    )]
    Orders(u32),
    #[error(
        "`{0}` is an address and not a host name; choose a name, such as `my-shop.example.com`"
    )]
    HostIsAddress(Host),
    #[error("`{0}` cannot be ordered yet: its prices begin later")]
    NotYet(Name),
    #[error("the instance is still being created; try again in a moment")]
    Pending,
    #[error("the change is empty: name the modules, the size, or both")]
    Nothing,
    #[error(
        "the instance was changed in the meantime; look at its present state, then change it \
             again"
    )]
    Stale,
    #[error("there is no such {0}")]
    Missing(&'static str),
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
            Error::NoOffer(_) => Self::invalid("unknown_service", detail),
            Error::NotYet(_) => Self::conflict("not_yet", detail),
            Error::Nothing => Self::invalid("nothing_to_change", detail),
            Error::Stale => Self::conflict("stale", detail),
            Error::Plan { .. } | Error::WhichPlan { .. } => Self::invalid("unknown_plan", detail),
            Error::Size { .. } => Self::invalid("unknown_size", detail),
            Error::Modules(_) => Self::invalid("modules", detail),
            Error::HostTaken(_) => Self::conflict("host_already_taken", detail),
            Error::HostReserved(..) => Self::conflict("host_reserved", detail),
            Error::HostNotPublic(..) => Self::invalid("host_not_public", detail),
            Error::HostCrosses(_) => Self::conflict("host_crosses", detail),
            Error::Instances(_) => Self::conflict("quota_instances", detail),
            Error::Orders(_) => Self::new(Kind::Exhausted, "quota_orders", detail),
            Error::HostIsAddress(_) => Self::invalid("host_is_address", detail),
            Error::Pending => {
                Self { retry_after: Some(1), ..Self::conflict("order_pending", detail) }
            }
            Error::Missing(what) => Self::not_found(what),
            Error::Database(cause) => chassis::database_failed("provider", &cause),
            Error::Refused(problem) => problem,
        }
    }
}
