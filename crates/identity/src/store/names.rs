//! Many of them at once, by their ids.

use std::collections::BTreeSet;

use api::identity::{Account, User};
use types::{AccountId, Id, Kind, Name, NodeId, UserId};

use super::{Stored, read_account, read_user};

/// So many ids go into one statement.
const IDS_AT_ONCE: usize = 100;

pub(crate) async fn users_with(on: &db::Db, ids: &BTreeSet<UserId>) -> Stored<Vec<User>> {
    those("select * from person", on, ids, read_user).await
}

pub(crate) async fn accounts_with(on: &db::Db, ids: &BTreeSet<AccountId>) -> Stored<Vec<Account>> {
    those("select * from account", on, ids, read_account).await
}

pub(crate) async fn nodes_with(on: &db::Db, ids: &BTreeSet<NodeId>) -> Stored<Vec<(NodeId, Name)>> {
    those("select * from node", on, ids, |row| Ok((row.get("id")?, row.get("name")?))).await
}

async fn those<K: Kind, T>(
    all: &str,
    on: &db::Db,
    ids: &BTreeSet<Id<K>>,
    read: impl Fn(&db::Row) -> Stored<T>,
) -> Stored<Vec<T>> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.iter().collect::<Vec<_>>().chunks(IDS_AT_ONCE) {
        let places = vec!["?"; ids.len()].join(", ");
        let text = format!("{all} where id in ({places})");
        let query = ids.iter().fold(db::query(&text), |query, id| query.bind(**id));
        found.extend(query.all(on, &read).await?);
    }
    Ok(found)
}
