//! What can go wrong here, and what is said about it.

use api::Problem;
use types::{GrantId, Grantable, Name, Permission, Principal, Resource};

/// Why access refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "`{permission}` is not in the namespace of `{service}`: a service may only define `{service}.…`"
    )]
    Namespace { service: Name, permission: Permission },
    #[error("`{0}` is the name of a component; choose another name for the service")]
    Reserved(Name),
    #[error("a service may define at most 200 permissions")]
    TooMany,
    #[error("`{0}` is defined twice; define it once")]
    Twice(Permission),
    #[error("there is no permission `{0}`; list those there are with `mandate permissions`")]
    Unknown(Grantable),
    #[error(
        "`{0}` belongs to the platform and cannot be granted; grant a role, or a permission \
             of a service"
    )]
    NotGrantable(Grantable),
    #[error("`{0}` is not in this account; grant on the account or on one of its instances")]
    Elsewhere(Resource),
    #[error("there is no `{0}`; `mandate user list` shows an account's users")]
    Nobody(Principal),
    #[error("`{0}` cannot be granted this: grant to a user or, but for roles, a published service")]
    NotForThem(Principal),
    #[error("a different grant `{0}` already exists; revoke it first, or use another id")]
    Other(GrantId),
    #[error("this account has reached its limit of {0} grants; revoke grants that are not needed")]
    Quota(u64),
    #[error("there is no such grant here")]
    Missing,
    #[error("this is the last {0}; make another user {0} first")]
    LastOne(Grantable),
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
            Error::Quota(_) => Self::conflict("grants_used_up", detail),
            Error::Nobody(_) => Self::invalid("unknown_principal", detail),
            Error::NotForThem(_) => Self::invalid("not_grantable_to", detail),
            Error::Other(_) => Self::conflict("grant_exists", detail),
            Error::Missing => Self::not_found("grant here"),
            Error::LastOne(Grantable::Operator) => Self::conflict("last_operator", detail),
            Error::LastOne(_) => Self::conflict("last_owner", detail),
            Error::Database(cause) => chassis::database_failed("access", &cause),
            Error::Refused(problem) => problem,
        }
    }
}
