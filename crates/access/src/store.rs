//! The tables.

use api::{
    access::{AuditEntry, CatalogueEntry, Grant},
    manifest::Level,
};
use db::{List, On};
use types::{
    AccountId, Cursor, Digest, GrantId, Grantable, Name, Permission, Principal, RequestId, Resource,
};

type Stored<T> = Result<T, db::Error>;

/// The platform's own grants belong to no account.
fn owner(account: Option<AccountId>) -> String {
    account.map(|id| id.to_string()).unwrap_or_default()
}

/// Keeps it, unless there is one that says the same or has its id; answers whether it is new.
pub(crate) async fn insert_grant(
    tx: &mut db::Tx,
    account: Option<AccountId>,
    grant: &Grant,
) -> Stored<bool> {
    db::query(
        "insert into access_grant (id, account, principal, given, resource, granted_by, created)
         values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
    )
    .bind(grant.grant)
    .bind(owner(account))
    .bind(&grant.principal)
    .bind(&grant.given)
    .bind(&grant.on)
    .bind(&grant.granted_by)
    .bind(grant.created)
    .run(tx)
    .await
    .map(|changed| changed == 1)
}

fn read_grant(row: &db::Row) -> Stored<Grant> {
    Ok(Grant {
        grant: row.get("id")?,
        principal: row.get("principal")?,
        given: row.get("given")?,
        on: row.get("resource")?,
        granted_by: row.get("granted_by")?,
        created: row.get("created")?,
    })
}

pub(crate) async fn grant(
    on: impl On,
    account: Option<AccountId>,
    id: GrantId,
) -> Stored<Option<Grant>> {
    db::query("select * from access_grant where id = ? and account = ?")
        .bind(id)
        .bind(owner(account))
        .optional(on, read_grant)
        .await
}

/// The grant that says the same.
pub(crate) async fn equal_grant(on: impl On, to: &Grant) -> Stored<Option<Grant>> {
    db::query("select * from access_grant where principal = ? and given = ? and resource = ?")
        .bind(&to.principal)
        .bind(&to.given)
        .bind(&to.on)
        .optional(on, read_grant)
        .await
}

/// Whether anybody has that on this.
pub(crate) async fn is_given(tx: &mut db::Tx, given: &Grantable, on: &Resource) -> Stored<bool> {
    db::query("select id from access_grant where given = ? and resource = ? limit 1")
        .bind(given)
        .bind(on)
        .optional(tx, |row| row.get::<GrantId>("id"))
        .await
        .map(|found| found.is_some())
}

/// How many grants name each of these.
pub(crate) async fn count_given(
    on: impl On,
    given: impl IntoIterator<Item = &Permission>,
) -> Stored<Vec<(Permission, u64)>> {
    db::query(
        "select given, count(*) as n from access_grant where given in {list}
         group by given order by given",
    )
    .bind(List::of(given))
    .all(on, |row| Ok((row.get("given")?, row.get("n")?)))
    .await
}

/// The first grants that name a permission.
pub(crate) async fn first_given(on: impl On, given: &Permission, limit: u32) -> Stored<Vec<Grant>> {
    db::query("select * from access_grant where given = ? order by id limit ?")
        .bind(given)
        .bind(limit)
        .all(on, read_grant)
        .await
}

pub(crate) async fn delete_grant(on: impl On, id: GrantId) -> Stored<()> {
    db::query("delete from access_grant where id = ?").bind(id).run(on).await.map(drop)
}

pub(crate) async fn count_grants(tx: &mut db::Tx, account: AccountId) -> Stored<u64> {
    db::query("select count(*) as n from access_grant where account = ?")
        .bind(account)
        .one(tx, |row| row.get("n"))
        .await
}

pub(crate) async fn grants(
    on: impl On,
    account: Option<AccountId>,
    cursor: &Cursor,
) -> Stored<Vec<Grant>> {
    db::query("select * from access_grant where account = ? and id > ? order by id limit ?")
        .bind(owner(account))
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read_grant)
        .await
}

pub(crate) async fn grants_to(
    on: impl On,
    principal: &Principal,
    cursor: &Cursor,
) -> Stored<Vec<Grant>> {
    db::query("select * from access_grant where principal = ? and id > ? order by id limit ?")
        .bind(principal)
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read_grant)
        .await
}

pub(crate) async fn replace_catalogue(
    tx: &mut db::Tx,
    service: &Name,
    entries: &[CatalogueEntry],
) -> Stored<()> {
    db::query("delete from catalogue where service = ?").bind(service).run(&mut *tx).await?;
    for entry in entries {
        db::query("insert into catalogue (service, permission, title, level) values (?, ?, ?, ?)")
            .bind(service)
            .bind(&entry.permission)
            .bind(&entry.title)
            .bind_json(&entry.level)
            .run(&mut *tx)
            .await?;
    }
    Ok(())
}

pub(crate) async fn catalogue(
    on: impl On,
    service: Option<&Name>,
    cursor: &Cursor,
) -> Stored<Vec<CatalogueEntry>> {
    let service = service.map_or("", Name::as_str);
    db::query(
        "select * from catalogue where (? = '' or service = ?) and permission > ?
         order by permission limit ?",
    )
    .bind(service)
    .bind(service)
    .bind(cursor.key())
    .bind(cursor.rows())
    .all(on, read_entry)
    .await
}

fn read_entry(row: &db::Row) -> Stored<CatalogueEntry> {
    let level: Level = row.json("level")?;
    Ok(CatalogueEntry { permission: row.get("permission")?, title: row.get("title")?, level })
}

/// All of a service.
pub(crate) async fn catalogue_of(on: impl On, service: &Name) -> Stored<Vec<CatalogueEntry>> {
    db::query("select * from catalogue where service = ? order by permission")
        .bind(service)
        .all(on, read_entry)
        .await
}

/// The releases that instances of a service are on, as far as that was told.
pub(crate) async fn in_use(on: impl On, service: &Name) -> Stored<Vec<Digest>> {
    db::query("select release from release_in_use where service = ? order by release")
        .bind(service)
        .all(on, |row| row.get("release"))
        .await
}

pub(crate) async fn insert_in_use(tx: &mut db::Tx, service: &Name, release: &Digest) -> Stored<()> {
    db::query("insert into release_in_use (service, release) values (?, ?) on conflict do nothing")
        .bind(service)
        .bind(release)
        .run(tx)
        .await
        .map(drop)
}

pub(crate) async fn delete_in_use(tx: &mut db::Tx, service: &Name) -> Stored<()> {
    db::query("delete from release_in_use where service = ?").bind(service).run(tx).await.map(drop)
}

pub(crate) async fn knows_service(on: impl On, service: &Name) -> Stored<bool> {
    db::query("select 1 as known from catalogue where service = ? limit 1")
        .bind(service)
        .optional(on, |_| Ok(()))
        .await
        .map(|found| found.is_some())
}

pub(crate) async fn knows_permission(on: impl On, permission: &Permission) -> Stored<bool> {
    db::query("select 1 as known from catalogue where permission = ?")
        .bind(permission)
        .optional(on, |_| Ok(()))
        .await
        .map(|found| found.is_some())
}

/// What a permission of a service allows, in words.
pub(crate) async fn title(on: impl On, permission: &Permission) -> Stored<Option<String>> {
    db::query("select title from catalogue where permission = ?")
        .bind(permission)
        .optional(on, |row| row.get("title"))
        .await
}

/// The entry's id sorts by time; the request's would not be unique.
pub(crate) async fn insert_audit(
    tx: &mut db::Tx,
    account: Option<AccountId>,
    entry: &AuditEntry,
) -> Stored<()> {
    db::query(
        "insert into audit (id, account, at, principal, action, resource, detail, request)
         values (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(RequestId::new(entry.at))
    .bind(owner(account))
    .bind(entry.at)
    .bind(&entry.by)
    .bind(&entry.action)
    .bind(&entry.on)
    .bind(&entry.detail)
    .bind(entry.request)
    .run(tx)
    .await
    .map(drop)
}

/// Newest first, each with its id.
pub(crate) async fn audit(
    on: impl On,
    account: AccountId,
    cursor: &Cursor,
) -> Stored<Vec<(String, AuditEntry)>> {
    // Above every id: the first page begins with the newest.
    let before = cursor.after.as_deref().unwrap_or("req_~");
    db::query("select * from audit where account = ? and id < ? order by id desc limit ?")
        .bind(account)
        .bind(before)
        .bind(cursor.rows())
        .all(on, |row| {
            let entry = AuditEntry {
                at: row.get("at")?,
                by: row.get("principal")?,
                action: row.get("action")?,
                on: row.get("resource")?,
                detail: row.get("detail")?,
                request: row.get("request")?,
            };
            Ok((row.get("id")?, entry))
        })
        .await
}
