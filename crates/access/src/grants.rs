//! Grants: who may do what with what.

use std::collections::{BTreeMap, btree_map::Entry};

use api::{
    Problem,
    access::{
        AuditEntry, CreateGrant, Grant, ListGrants, ListOwnGrants, ListPlatformGrants, OwnGrant,
        PutGrant, RevokeGrant, RevokePlatformGrant, Revoked,
    },
    configurator::GetInstance,
};
use chassis::{Call, Write};
use types::{AccountId, Cursor, GrantId, Grantable, Host, InstanceId, Page, Principal, Resource};

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
    // Counted while this transaction has the feed, so that many at once are not too many.
    if let Some(account) = account.filter(|_| !is_identity(&grant.granted_by)) {
        let most = cx.state().grants_max;
        if store::count_grants(cx.tx(), account).await? > most {
            return Err(Error::Quota(most));
        }
    }
    let detail = format!("`{}` to {}", grant.given, grant.principal);
    audit(cx, account, action, &grant.on, detail).await?;
    Ok(grant)
}

pub(crate) async fn revoke_grant(cx: Call<State>, op: RevokeGrant) -> Result<Revoked, Error> {
    let mut write = cx.begin().await?;
    let revoked = revoke(&mut write, Some(op.account), op.grant).await;
    cx.settle(write, revoked).await
}

pub(crate) async fn revoke_platform_grant(
    cx: Call<State>,
    op: RevokePlatformGrant,
) -> Result<Revoked, Error> {
    let mut write = cx.begin().await?;
    let revoked = revoke(&mut write, None, op.grant).await;
    cx.settle(write, revoked).await
}

async fn revoke(
    cx: &mut Write<State>,
    account: Option<AccountId>,
    id: GrantId,
) -> Result<Revoked, Error> {
    let grant = store::grant(cx.tx(), account, id).await?.ok_or(Error::Missing)?;
    store::delete_grant(cx.tx(), id).await?;
    let revision = cx.remove::<Grant>(&id.to_string()).await?;
    // Counted while this transaction has the feed, so that two owners cannot revoke each other.
    if is_role(&grant) && !store::is_given(cx.tx(), &grant.given, &grant.on).await? {
        return Err(Error::LastOne(grant.given));
    }
    cx.wait_for_copies();
    let detail = format!("`{}` from {}", grant.given, grant.principal);
    let action = if account.is_some() { "access.revokeGrant" } else { REVOKE_PLATFORM_GRANT };
    audit(cx, account, action, &grant.on, detail).await?;
    Ok(Revoked { revision })
}

const REVOKE_PLATFORM_GRANT: &str = "access.revokePlatformGrant";

/// Whether it makes somebody the owner of an account or an operator of the platform: neither can
/// be without one.
fn is_role(grant: &Grant) -> bool {
    matches!(
        (&grant.given, &grant.on),
        (Grantable::Owner, Resource::Account(_)) | (Grantable::Operator, Resource::Platform)
    )
}

pub(crate) async fn list_grants(cx: Call<State>, op: ListGrants) -> Result<Page<Grant>, Error> {
    let cursor = op.cursor();
    let grants = store::grants(cx.db(), Some(op.account), &cursor).await?;
    Ok(Page::cut(grants, &cursor, |grant| grant.grant.to_string()))
}

pub(crate) async fn list_platform_grants(
    cx: Call<State>,
    op: ListPlatformGrants,
) -> Result<Page<Grant>, Error> {
    let cursor = op.cursor();
    let grants = store::grants(cx.db(), None, &cursor).await?;
    Ok(Page::cut(grants, &cursor, |grant| grant.grant.to_string()))
}

/// Those of the caller. Whoever was granted something on one instance alone may not look it up, so
/// its host is told along.
pub(crate) async fn list_own_grants(
    cx: Call<State>,
    op: ListOwnGrants,
) -> Result<Page<OwnGrant>, Error> {
    let cursor = Cursor { after: op.after, limit: op.limit };
    let grants = store::grants_to(cx.db(), &cx.caller.principal, &cursor).await?;
    let page = Page::cut(grants, &cursor, |grant| grant.grant.to_string());
    let mut hosts: BTreeMap<InstanceId, Option<Host>> = BTreeMap::new();
    for grant in &page.items {
        let Resource::Instance(account, instance) = grant.on else { continue };
        if let Entry::Vacant(place) = hosts.entry(instance) {
            let asked = cx.peers().call(GetInstance { account, instance }).await;
            place.insert(asked.ok().map(|found| found.host));
        }
    }
    let items = page.items.into_iter().map(|grant| {
        let host = match &grant.on {
            Resource::Instance(_, instance) => hosts.get(instance).cloned().flatten(),
            _ => None,
        };
        OwnGrant { grant, host }
    });
    let items = items.collect();
    Ok(Page { items, next: page.next })
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
