//! access: what everybody may do: the catalogue of permissions, the grants, the audit trail.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, Digest, GrantId, Grantable, Host, Name, Permission, Principal, RequestId, Resource,
    Timestamp,
};

use crate::{Empty, feed, manifest::Level};

operations! { "access":
    /// Proposes the permissions that a service defines with a release.
    PutCatalogue PUT "/v1/services/{service}/releases/{release}/permissions" on service by [releases] -> Empty;
    /// Makes what a release proposed hold. What only the release before named stays known until it is
    /// said that no instance is on that any more.
    PromoteCatalogue PUT "/v1/services/{service}/permissions" on service by [releases] -> Empty;
    /// Says which releases of a service instances are on: what these name is known beside what the
    /// current one names, and nothing else.
    KeepCatalogues PUT "/v1/services/{service}/releases" on service by [releases] -> Empty;
    /// Withdraws what a release proposed that was never promoted.
    DropCatalogue DELETE "/v1/services/{service}/releases/{release}/permissions" on service by [releases] -> Empty;
    /// Says how many grants name each of these permissions of a service, and which are the first.
    CountGrants POST "/v1/services/{service}/grants" on service by [releases] -> GrantCounts;
    /// Lists every permission there is.
    ListPermissions GET "/v1/permissions" on platform by [anyone] lists CatalogueEntry only [service: Name];
    /// Puts a grant under an id of the caller's choice.
    PutGrant PUT "/v1/grants/{grant}" on platform by [identity, operator] -> Grant;
    /// Lists the grants that are in no account: those on the platform, on services and on nodes.
    ListPlatformGrants GET "/v1/grants" on platform by [operator] lists Grant;
    /// Takes back a grant that is in no account. When this returns, everybody has applied it.
    RevokePlatformGrant DELETE "/v1/grants/{grant}" on platform by [operator] -> Revoked;
    /// Lets somebody do something with an account or an instance of it.
    CreateGrant POST "/v1/accounts/{account}/grants" on account by [customer, operator] -> Grant;
    /// Takes a grant back. When this returns, everybody who decides has applied it.
    RevokeGrant DELETE "/v1/accounts/{account}/grants/{grant}" on account by [customer, operator] -> Revoked;
    /// Lists the grants of an account.
    ListGrants GET "/v1/accounts/{account}/grants" on account by [customer, operator] lists Grant;
    /// Lists what was granted to the caller, wherever it is.
    ListOwnGrants GET "/v1/me/grants" on platform by [anyone] lists OwnGrant;
    /// Says whether somebody may do something, and why, or what is missing.
    CheckPermission GET "/v1/accounts/{account}/decisions" on account by [customer, operator] -> Decision;
    /// Lists who granted and revoked what, newest first.
    ListAudit GET "/v1/accounts/{account}/audit" on account by [customer, operator] lists AuditEntry;
    /// Asks for the changes after a revision, and acknowledges it.
    FollowChanges PUT "/v1/followers/{follower}" on platform by [platform] -> feed::Changes;
    /// Reads everything that the feed carries.
    ReadSnapshot GET "/v1/snapshot" on platform by [platform] -> feed::Snapshot;
}

feed!(Changes, "access");

/// Proposes the permissions that a service defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutCatalogue {
    /// The service, whose name is the namespace.
    pub service: Name,
    /// With which release.
    pub release: Digest,
    /// All of its permissions, at most 200.
    pub permissions: Vec<CatalogueEntry>,
}

/// Makes what a release proposed hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromoteCatalogue {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// A service's promotions count up; one that comes after a later one changes nothing.
    pub turn: u64,
}

/// Says which releases of a service instances are on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeepCatalogues {
    /// The service.
    pub service: Name,
    /// Which releases.
    pub releases: BTreeSet<Digest>,
}

/// Asks who has permissions of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountGrants {
    /// The service.
    pub service: Name,
    /// Which permissions of it, at most 200.
    pub permissions: BTreeSet<Permission>,
    /// How many grants of each are shown, at most 100.
    pub first: u32,
}

/// Who has permissions of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantCounts {
    /// Those that grants name.
    pub permissions: Vec<GrantCount>,
}

/// Who has a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantCount {
    /// Which permission.
    pub permission: Permission,
    /// How many grants name it.
    pub grants: u64,
    /// The first of them.
    pub first: Vec<Grant>,
}

/// Withdraws what a release proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropCatalogue {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
}

/// A permission that may be granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogueEntry {
    /// Its name, `forum.addUsers`.
    pub permission: Permission,
    /// What it allows, in words.
    pub title: String,
    /// How much it allows.
    pub level: Level,
}

/// Puts a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutGrant {
    /// Its id.
    pub grant: GrantId,
    /// To whom.
    pub principal: Principal,
    /// What.
    pub given: Grantable,
    /// On what.
    pub on: Resource,
}

/// Takes back a grant that is in no account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokePlatformGrant {
    /// Which grant.
    pub grant: GrantId,
}

/// Lets somebody do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateGrant {
    /// Whose account it concerns.
    pub account: AccountId,
    /// To whom.
    pub principal: Principal,
    /// What: a permission, all of a service's (`forum.*`), or `owner`.
    pub given: Grantable,
    /// On what: the account, or an instance of it.
    pub on: Resource,
}

/// Somebody may do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// Its id.
    pub grant: GrantId,
    /// Who.
    pub principal: Principal,
    /// What.
    pub given: Grantable,
    /// On what.
    pub on: Resource,
    /// Who granted it.
    pub granted_by: Principal,
    /// When.
    pub created: Timestamp,
}

impl feed::Document for Grant {
    const COMPONENT: &'static str = "access";
    const TOPIC: &'static str = "grant";
    fn key(&self) -> String {
        self.grant.to_string()
    }
}

/// The permissions of one service, as the feed carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Catalogue {
    /// The service.
    pub service: Name,
    /// All of its permissions.
    pub permissions: Vec<CatalogueEntry>,
}

impl feed::Document for Catalogue {
    const COMPONENT: &'static str = "access";
    const TOPIC: &'static str = "catalogue";
    fn key(&self) -> String {
        self.service.to_string()
    }
}

/// Takes a grant back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokeGrant {
    /// Whose account it concerns.
    pub account: AccountId,
    /// Which grant.
    pub grant: GrantId,
}

/// A grant is gone, everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revoked {
    /// The revision of the feed with which it went.
    pub revision: u64,
}

/// A grant, as whoever has it is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnGrant {
    /// What was granted.
    pub grant: Grant,
    /// Where the instance is that it is on, if it is on one that can be asked about now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
}

/// Asks about a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckPermission {
    /// The account that the resource belongs to.
    pub account: AccountId,
    /// Who would act.
    pub principal: Principal,
    /// What they would do.
    pub permission: Permission,
    /// On what: the account, or an instance of it.
    pub on: Resource,
}

/// Whether somebody may do something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Whether.
    pub allowed: bool,
    /// The answer in a sentence.
    pub sentence: String,
    /// The rules that decided.
    pub rules: Vec<Reason>,
    /// What would have to be granted, if they may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// A rule that took part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Its id: a grant's id, or the name of a standing rule.
    pub rule: String,
    /// What it says, in words.
    pub note: String,
}

/// Somebody changed what somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: Principal,
    /// What they did, `access.createGrant`.
    pub action: Permission,
    /// On what.
    pub on: Resource,
    /// What it was, in words.
    pub detail: String,
    /// The request by which.
    pub request: RequestId,
}
