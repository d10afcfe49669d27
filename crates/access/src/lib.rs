//! What everybody may do: the catalogue of permissions, the grants, the audit trail.
//!
//! Access keeps them and tells of them by its feed; the decisions are made where they are needed,
//! from a copy of that feed. A grant or a revocation returns when every living copy has applied
//! it. An owner may hand on what belongs to the account: the permissions of the services that it
//! takes and those operations of the platform that are meant for customers, and nothing else.

mod catalogue;
mod decisions;
mod error;
mod grants;
mod store;

use api::access::{
    Changes, CheckPermission, CreateGrant, DropCatalogue, ListAudit, ListGrants, ListPermissions,
    PromoteCatalogue, PutCatalogue, PutGrant, RevokeGrant,
};
use chassis::Component;

pub(crate) use error::Error;

/// Access keeps nothing in memory.
pub(crate) struct State;

/// The component.
pub fn component() -> Component<impl Send + Sync + 'static> {
    const MIGRATIONS: &[db::Migration] = &[
        db::Migration { name: "access_0001", sql: include_str!("../migrations/0001_access.sql") },
        chassis::PROPOSALS,
    ];
    Component::new("access", MIGRATIONS, State)
        .writes::<PutCatalogue>(catalogue::put_catalogue)
        .writes::<PromoteCatalogue>(catalogue::promote_catalogue)
        .writes::<DropCatalogue>(catalogue::drop_catalogue)
        .reads::<ListPermissions>(catalogue::list_permissions)
        .writes::<PutGrant>(grants::put_grant)
        .writes::<CreateGrant>(grants::create_grant)
        .writes::<RevokeGrant>(grants::revoke_grant)
        .reads::<ListGrants>(grants::list_grants)
        .reads::<CheckPermission>(decisions::check_permission)
        .reads::<ListAudit>(decisions::list_audit)
        .feeds::<Changes>()
}
