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
mod whom;

use api::access::{
    Changes, CheckPermission, CountGrants, CreateGrant, DropCatalogue, KeepCatalogues, ListAudit,
    ListGrants, ListOwnGrants, ListPermissions, ListPlatformGrants, PromoteCatalogue, PutCatalogue,
    PutGrant, RevokeGrant, RevokePlatformGrant,
};
use chassis::Component;

pub(crate) use error::Error;

/// What access needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many grants an account may have.
    pub grants_max: u64,
}

/// What is the same for every request.
pub(crate) struct State {
    grants_max: u64,
}

/// The component.
pub fn component(config: Config) -> Component<impl Send + Sync + 'static> {
    const MIGRATIONS: &[db::Migration] = &[
        db::Migration { name: "access_0001", sql: include_str!("../migrations/0001_access.sql") },
        db::Migration {
            name: "access_0002",
            sql: include_str!("../migrations/0002_equal_grants.sql"),
        },
        db::Migration { name: "access_0003", sql: include_str!("../migrations/0003_roles.sql") },
        chassis::PROPOSALS,
        db::Migration { name: "access_in_use", sql: include_str!("../migrations/0004_in_use.sql") },
        db::Migration { name: "access_given", sql: include_str!("../migrations/0030_given.sql") },
    ];
    Component::new("access", MIGRATIONS, State { grants_max: config.grants_max })
        .writes::<PutCatalogue>(catalogue::put_catalogue)
        .writes::<PromoteCatalogue>(catalogue::promote_catalogue)
        .writes::<KeepCatalogues>(catalogue::keep_catalogues)
        .writes::<DropCatalogue>(catalogue::drop_catalogue)
        .reads::<CountGrants>(catalogue::count_grants)
        .reads::<ListPermissions>(catalogue::list_permissions)
        .acts::<PutGrant>(grants::put_grant)
        .reads::<ListPlatformGrants>(grants::list_platform_grants)
        .acts::<RevokePlatformGrant>(grants::revoke_platform_grant)
        .acts::<CreateGrant>(grants::create_grant)
        .acts::<RevokeGrant>(grants::revoke_grant)
        .reads::<ListGrants>(grants::list_grants)
        .reads::<ListOwnGrants>(grants::list_own_grants)
        .reads::<CheckPermission>(decisions::check_permission)
        .reads::<ListAudit>(decisions::list_audit)
        .feeds::<Changes>()
}
