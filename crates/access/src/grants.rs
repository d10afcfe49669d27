//! Grants: who may do what with what.

use api::{
    Problem,
    access::{AuditEntry, CreateGrant, Grant, ListGrants, PutGrant, RevokeGrant, Revoked},
};
use chassis::{Call, Write};
use types::{AccountId, Cursor, GrantId, Grantable, Page, Principal, Resource};

use crate::{
    Error, State,
    catalogue::check_grantable,
    store,
    whom::{check_principal, check_resource},
};

pub(crate) async fn put_grant(cx: Call<State>, op: PutGrant) -> Result<Grant, Error> {
    let (principal, given, on) = (op.principal, op.given, op.on);
    let granted_by = cx.caller.principal.clone();
    // Identity grants to whom it has made itself, and on what.
    if !is_identity(&granted_by) {
        check_principal(&cx, &principal, &given).await?;
        check_resource(&cx, &on).await?;
    }
    let grant = Grant { grant: op.grant, principal, given, on, granted_by, created: cx.now() };
    let mut write = cx.begin().await?;
    let kept = keep(&mut write, grant, "access.putGrant").await?;
    Ok(write.finish(kept).await?)
}

fn is_identity(principal: &Principal) -> bool {
    matches!(principal, Principal::Service(name) if name.as_str() == "identity")
}

pub(crate) async fn create_grant(cx: Call<State>, op: CreateGrant) -> Result<Grant, Error> {
    if account_of(&op.on) != Some(op.account) {
        return Err(Error::Elsewhere(op.on));
    }
    check_principal(&cx, &op.principal, &op.given).await?;
    check_resource(&cx, &op.on).await?;
    let now = cx.now();
    let grant = Grant {
        grant: GrantId::new(now),
        principal: op.principal,
        given: op.given,
        on: op.on,
        granted_by: cx.caller.principal.clone(),
        created: now,
    };
    let mut write = cx.begin().await?;
    check_grantable(write.tx(), &grant.given).await?;
    let kept = keep(&mut write, grant, "access.createGrant").await?;
    Ok(write.finish(kept).await?)
}

/// What says the same as a grant that is there is that grant, so one revocation takes it back.
async fn keep(cx: &mut Write<State>, grant: Grant, action: &str) -> Result<Grant, Error> {
    let account = account_of(&grant.on);
    // Also what was there before: the answer means that everybody has it.
    cx.wait_for_copies();
    if !store::insert_grant(cx.tx(), account, &grant).await? {
        let kept = store::equal_grant(cx.tx(), &grant).await?;
        return kept.ok_or(Error::Other(grant.grant));
    }
    cx.put(&grant).await?;
    let detail = format!("`{}` to {}", grant.given, grant.principal);
    audit(cx, account, action, &grant.on, detail).await?;
    Ok(grant)
}

pub(crate) async fn revoke_grant(cx: Call<State>, op: RevokeGrant) -> Result<Revoked, Error> {
    let mut write = cx.begin().await?;
    match revoke(&mut write, &op).await {
        Ok(revoked) => Ok(write.finish(revoked).await?),
        Err(refusal) => {
            drop(write);
            // Who asks again hears that it is gone: then it must be gone everywhere.
            cx.copies_have_all().await?;
            Err(refusal)
        }
    }
}

async fn revoke(cx: &mut Write<State>, op: &RevokeGrant) -> Result<Revoked, Error> {
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
