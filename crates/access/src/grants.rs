//! Grants: who may do what with what.

use api::{
    Problem,
    access::{AuditEntry, CreateGrant, Grant, ListGrants, PutGrant, RevokeGrant, Revoked},
};
use chassis::{Call, Write};
use types::{AccountId, Cursor, GrantId, Grantable, Page, Resource};

use crate::{Error, State, catalogue::check_grantable, store};

pub(crate) async fn put_grant(cx: &mut Write<State>, op: PutGrant) -> Result<Grant, Error> {
    let (principal, given, on) = (op.principal, op.given, op.on);
    let granted_by = cx.caller.principal.clone();
    let grant = Grant { grant: op.grant, principal, given, on, granted_by, created: cx.now() };
    keep(cx, grant, "access.putGrant").await
}

pub(crate) async fn create_grant(cx: &mut Write<State>, op: CreateGrant) -> Result<Grant, Error> {
    if account_of(&op.on) != Some(op.account) {
        return Err(Error::Elsewhere(op.on));
    }
    check_grantable(cx.tx(), &op.given).await?;
    let now = cx.now();
    let grant = Grant {
        grant: GrantId::new(now),
        principal: op.principal,
        given: op.given,
        on: op.on,
        granted_by: cx.caller.principal.clone(),
        created: now,
    };
    keep(cx, grant, "access.createGrant").await
}

async fn keep(cx: &mut Write<State>, grant: Grant, action: &str) -> Result<Grant, Error> {
    let account = account_of(&grant.on);
    // What is put again is told again, since the answer means that everybody has it.
    let is_new = store::put_grant(cx.tx(), account, &grant).await?;
    let kept = store::grant(cx.tx(), account, grant.grant).await?;
    let grant = kept.ok_or(Error::Missing)?;
    cx.put(&grant).await?;
    cx.wait_for_copies();
    if is_new {
        let detail = format!("`{}` to {}", grant.given, grant.principal);
        audit(cx, account, action, &grant.on, detail).await?;
    }
    Ok(grant)
}

pub(crate) async fn revoke_grant(cx: &mut Write<State>, op: RevokeGrant) -> Result<Revoked, Error> {
    let account = Some(op.account);
    let grant = store::grant(cx.tx(), account, op.grant).await?.ok_or(Error::Missing)?;
    store::delete_grant(cx.tx(), op.grant).await?;
    let revision = cx.remove::<Grant>(&op.grant.to_string()).await?;
    // Counted while this transaction has the feed, so that two owners cannot revoke each other.
    let was_owner = grant.given == Grantable::Owner && grant.on == Resource::Account(op.account);
    if was_owner && !store::has_owner(cx.tx(), op.account).await? {
        return Err(Error::LastOwner);
    }
    cx.wait_for_copies();
    let detail = format!("`{}` from {}", grant.given, grant.principal);
    audit(cx, account, "access.revokeGrant", &grant.on, detail).await?;
    Ok(Revoked { revision })
}

pub(crate) async fn list_grants(cx: Call<State>, op: ListGrants) -> Result<Page<Grant>, Error> {
    let cursor = Cursor { after: op.after, limit: op.limit };
    let grants = store::grants(cx.db(), op.account, &cursor).await?;
    Ok(Page::cut(grants, &cursor, |grant| grant.grant.to_string()))
}

/// The account that a resource is in.
pub(crate) fn account_of(on: &Resource) -> Option<AccountId> {
    match on {
        Resource::Account(account) | Resource::Instance(account, _) => Some(*account),
        Resource::Platform | Resource::Service(_) | Resource::Node(_) => None,
    }
}

async fn audit(
    cx: &mut Write<State>,
    account: Option<AccountId>,
    action: &str,
    on: &Resource,
    detail: String,
) -> Result<(), Error> {
    let request = cx.request.ok_or_else(Problem::internal)?;
    let entry = AuditEntry {
        at: cx.now(),
        by: cx.caller.principal.clone(),
        action: action.parse().map_err(|_| Problem::internal())?,
        on: on.clone(),
        detail,
        request,
    };
    store::insert_audit(cx.tx(), account, &entry).await?;
    Ok(())
}
