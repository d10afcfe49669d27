//! The catalogue: which permissions there are.

use std::collections::BTreeSet;

use api::{
    Asker, Empty,
    access::{
        Catalogue, CatalogueEntry, CountGrants, DropCatalogue, GrantCount, GrantCounts,
        KeepCatalogues, ListPermissions, PromoteCatalogue, PutCatalogue,
    },
    manifest::Level,
};
use chassis::{Call, Write};
use types::{Grantable, Name, Page};

use crate::{Error, State, store};

const PERMISSIONS_MAX: usize = 200;
/// So many grants of a permission are shown.
const SHOWN_MAX: u32 = 100;

/// Checked in full, since a promotion is not refused.
pub(crate) async fn put_catalogue(cx: &mut Write<State>, op: PutCatalogue) -> Result<Empty, Error> {
    let PutCatalogue { service, release, permissions } = op;
    if api::is_reserved(service.as_str()) {
        return Err(Error::Reserved(service));
    }
    if permissions.len() > PERMISSIONS_MAX {
        return Err(Error::TooMany);
    }
    let mut seen = BTreeSet::new();
    for CatalogueEntry { permission, .. } in &permissions {
        if permission.service() != service.as_str() {
            return Err(Error::Namespace { service, permission: permission.clone() });
        }
        if !seen.insert(permission.as_str()) {
            return Err(Error::Twice(permission.clone()));
        }
    }
    let catalogue = Catalogue { service, permissions };
    cx.propose(&catalogue.service, &release, &catalogue).await?;
    Ok(Empty {})
}

pub(crate) async fn promote_catalogue(
    cx: &mut Write<State>,
    op: PromoteCatalogue,
) -> Result<Empty, Error> {
    let former = chassis::promoted_last(cx.tx(), &op.service).await?;
    let promoted: Option<Catalogue> = cx.promote(&op.service, &op.release, op.turn).await?;
    if promoted.is_none() {
        return Ok(Empty {});
    }
    if let Some(former) = former {
        store::insert_in_use(cx.tx(), &op.service, &former).await?;
    }
    unite(cx, op.service).await
}

/// Instances move one after the other, and what routes of the release need that they are on must not
/// be unknown before they have.
pub(crate) async fn keep_catalogues(
    cx: &mut Write<State>,
    op: KeepCatalogues,
) -> Result<Empty, Error> {
    store::delete_in_use(cx.tx(), &op.service).await?;
    for release in &op.releases {
        store::insert_in_use(cx.tx(), &op.service, release).await?;
    }
    unite(cx, op.service).await
}

/// What the current release names is known as it says, and beside it what only others name that are
/// in use.
async fn unite(cx: &mut Write<State>, service: Name) -> Result<Empty, Error> {
    let Some(current) = chassis::promoted_last(cx.tx(), &service).await? else {
        return Ok(Empty {});
    };
    let mut permissions: Vec<CatalogueEntry> = Vec::new();
    for release in [current].into_iter().chain(store::in_use(cx.tx(), &service).await?) {
        let named: Option<Catalogue> = chassis::promoted(cx.tx(), &service, &release).await?;
        for entry in named.into_iter().flat_map(|named| named.permissions) {
            if permissions.iter().all(|known| known.permission != entry.permission) {
                permissions.push(entry);
            }
        }
    }
    permissions.sort_by(|a, b| a.permission.as_str().cmp(b.permission.as_str()));
    if store::catalogue_of(cx.tx(), &service).await? != permissions {
        let catalogue = Catalogue { service, permissions };
        cx.put(&catalogue).await?;
        store::replace_catalogue(cx.tx(), &catalogue.service, &catalogue.permissions).await?;
    }
    Ok(Empty {})
}

pub(crate) async fn drop_catalogue(
    cx: &mut Write<State>,
    op: DropCatalogue,
) -> Result<Empty, Error> {
    cx.withdraw(&op.service, &op.release).await?;
    Ok(Empty {})
}

/// Whom it concerns that permissions of a service go.
pub(crate) async fn count_grants(cx: Call<State>, op: CountGrants) -> Result<GrantCounts, Error> {
    let CountGrants { service, permissions, first } = op;
    if permissions.len() > PERMISSIONS_MAX {
        return Err(Error::TooMany);
    }
    let mut counts = GrantCounts::default();
    let own = permissions.iter().filter(|it| it.service() == service.as_str());
    for (permission, grants) in store::count_given(cx.db(), own).await? {
        let first = store::first_given(cx.db(), &permission, first.min(SHOWN_MAX)).await?;
        counts.permissions.push(GrantCount { permission, grants, first });
    }
    Ok(counts)
}

pub(crate) async fn list_permissions(
    cx: Call<State>,
    op: ListPermissions,
) -> Result<Page<CatalogueEntry>, Error> {
    let cursor = op.cursor();
    let mut entries = store::catalogue(cx.db(), op.service.as_ref(), &cursor).await?;
    entries.extend(own(op.service.as_ref().map(types::Name::as_str), cursor.key()));
    entries.sort_by(|a, b| a.permission.as_str().cmp(b.permission.as_str()));
    entries.truncate(usize::try_from(cursor.rows()).unwrap_or(usize::MAX));
    Ok(Page::cut(entries, &cursor, |entry| entry.permission.to_string()))
}

/// The platform's own operations are permissions like any other.
fn own(service: Option<&str>, after: &str) -> Vec<CatalogueEntry> {
    let wanted = |listing: &api::Listing| {
        service.is_none_or(|service| service == listing.component) && listing.permission > after
    };
    let listings = api::listings().into_iter().filter(wanted);
    let entry = |listing: api::Listing| {
        let level = if listing.method == "GET" { Level::Read } else { Level::Write };
        let permission = listing.permission.parse().ok()?;
        Some(CatalogueEntry { permission, title: listing.summary.trim().to_owned(), level })
    };
    listings.filter_map(entry).collect()
}

/// Whether an account may hand it on: its services' permissions, and what customers may do.
pub(crate) async fn check_grantable(tx: &mut db::Tx, given: &Grantable) -> Result<(), Error> {
    let refused = || Error::NotGrantable(given.clone());
    match given {
        Grantable::Owner => Ok(()),
        Grantable::Operator => Err(refused()),
        Grantable::Service(service) if api::is_reserved(service.as_str()) => Err(refused()),
        Grantable::Service(service) => {
            let known = store::knows_service(tx, service).await?;
            if known { Ok(()) } else { Err(Error::Unknown(given.clone())) }
        }
        Grantable::Permission(permission) => {
            let listing =
                api::listings().into_iter().find(|own| own.permission == permission.as_str());
            match listing {
                Some(own) if own.askers.contains(&Asker::Customer) => Ok(()),
                Some(_) => Err(refused()),
                None if store::knows_permission(tx, permission).await? => Ok(()),
                None => Err(Error::Unknown(given.clone())),
            }
        }
    }
}
