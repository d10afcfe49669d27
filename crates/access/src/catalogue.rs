//! The catalogue: which permissions there are.

use api::{
    Asker, Empty,
    access::{Catalogue, CatalogueEntry, ListPermissions, PutCatalogue},
    manifest::Level,
};
use chassis::{Call, Write};
use types::{Cursor, Grantable, Page};

use crate::{Error, State, store};

const PERMISSIONS_MAX: usize = 200;

pub(crate) async fn put_catalogue(cx: &mut Write<State>, op: PutCatalogue) -> Result<Empty, Error> {
    if api::RESERVED.contains(&op.service.as_str()) {
        return Err(Error::Reserved(op.service));
    }
    if op.permissions.len() > PERMISSIONS_MAX {
        return Err(Error::TooMany);
    }
    let foreign = |entry: &&CatalogueEntry| entry.permission.service() != op.service.as_str();
    if let Some(entry) = op.permissions.iter().find(foreign) {
        let permission = entry.permission.clone();
        return Err(Error::Namespace { service: op.service, permission });
    }
    let catalogue = Catalogue { service: op.service, permissions: op.permissions };
    // First, since whoever writes to the feed waits for whoever did before: of two who replace the
    // same catalogue at once, the second must see what the first has put.
    cx.put(&catalogue).await?;
    let Catalogue { service, permissions } = &catalogue;
    store::replace_catalogue(cx.tx(), service, permissions).await?;
    Ok(Empty {})
}

pub(crate) async fn list_permissions(
    cx: Call<State>,
    op: ListPermissions,
) -> Result<Page<CatalogueEntry>, Error> {
    let cursor = Cursor { after: op.after, limit: op.limit };
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
        Grantable::Service(service) if api::RESERVED.contains(&service.as_str()) => Err(refused()),
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
