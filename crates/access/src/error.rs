//! What can go wrong here, and what is said about it.

use api::Problem;
use types::{Grantable, Name, Permission, Resource};

/// Why access refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "`{permission}` is not in the namespace of `{service}`: a service may only define `{service}.…`"
    )]
    Namespace { service: Name, permission: Permission },
    #[error("`{0}` is a part of the platform; a service must have another name")]
    Reserved(Name),
    #[error("a service may define at most 200 permissions")]
    TooMany,
    #[error("`{0}` is defined twice; define it once")]
    Twice(Permission),
    #[error("there is no permission `{0}`; list those there are with `mandate permission list`")]
    Unknown(Grantable),
    #[error("`{0}` is not an account's to grant")]
    NotGrantable(Grantable),
    #[error("`{0}` is not in this account; grant on the account or on one of its instances")]
    Elsewhere(Resource),
    #[error("there is no such grant in this account")]
    Missing,
    #[error("this is the account's last owner; make somebody else an owner first")]
    LastOwner,
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
            Error::Namespace { .. } => Self::invalid("foreign_namespace", detail),
            Error::Reserved(_) => Self::invalid("service_reserved", detail),
            Error::TooMany => Self::invalid("too_many_permissions", detail),
            Error::Twice(_) => Self::invalid("permission_twice", detail),
            Error::Unknown(_) => Self::invalid("unknown_permission", detail),
            Error::NotGrantable(_) => Self::invalid("not_grantable", detail),
            Error::Elsewhere(_) => Self::invalid("foreign_resource", detail),
            Error::Missing => Self::not_found("grant in this account"),
            Error::LastOwner => Self::conflict("last_owner", detail),
            Error::Database(cause) => chassis::database_failed("access", &cause),
            Error::Refused(problem) => problem,
        }
    }
}
