//! The keys that are trusted to sign releases of a service.

use api::releases::ServiceKey;
use db::On;
use types::{Cursor, Digest, Name, Principal, Timestamp};

use super::Result;

/// Locks the service until the transaction ends, and trusts the key if it is the service's first.
pub(crate) async fn bind_publisher(
    tx: &mut db::Tx,
    service: &Name,
    public_key: &str,
    now: Timestamp,
) -> Result<()> {
    let bound = db::query(
        "insert into publisher (service, public_key) values (?, ?) on conflict (service) do nothing",
    );
    let bound = bound.bind(service).bind(public_key).run(&mut *tx).await?;
    if bound == 0 {
        return super::lock_service(tx, service).await;
    }
    let key = ServiceKey {
        service: service.clone(),
        public_key: public_key.to_owned(),
        comment: String::new(),
        added: now,
        added_by: None,
        taken_back: None,
        taken_back_by: None,
    };
    put_key(tx, &key).await
}

/// Puts a key as it is now.
pub(crate) async fn put_key(tx: &mut db::Tx, key: &ServiceKey) -> Result<()> {
    let text = |by: &Option<Principal>| by.as_ref().map(ToString::to_string);
    db::query(
        "insert into publisher_key
         (service, public_key, comment, added, added_by, taken_back, taken_back_by)
         values (?, ?, ?, ?, ?, ?, ?)
         on conflict (service, public_key) do update set comment = excluded.comment,
         added = excluded.added, added_by = excluded.added_by, taken_back = excluded.taken_back,
         taken_back_by = excluded.taken_back_by",
    )
    .bind(&key.service)
    .bind(&key.public_key)
    .bind(&key.comment)
    .bind(key.added)
    .bind(text(&key.added_by).as_deref())
    .bind(key.taken_back)
    .bind(text(&key.taken_back_by).as_deref())
    .run(tx)
    .await
    .map(drop)
}

fn read(row: &db::Row) -> Result<ServiceKey> {
    let principal = |column| -> Result<Option<Principal>> {
        let text: Option<String> = row.get(column)?;
        text.map(|text| text.parse().map_err(|cause| db::Error::encode("principal", cause)))
            .transpose()
    };
    Ok(ServiceKey {
        service: row.get("service")?,
        public_key: row.get("public_key")?,
        comment: row.get("comment")?,
        added: row.get("added")?,
        added_by: principal("added_by")?,
        taken_back: row.get("taken_back")?,
        taken_back_by: principal("taken_back_by")?,
    })
}

pub(crate) async fn key(
    on: impl On,
    service: &Name,
    public_key: &str,
) -> Result<Option<ServiceKey>> {
    db::query("select * from publisher_key where service = ? and public_key = ?")
        .bind(service)
        .bind(public_key)
        .optional(on, read)
        .await
}

/// In the order of the keys themselves; the cursor is the last one that was seen.
pub(crate) async fn keys(on: impl On, service: &Name, cursor: &Cursor) -> Result<Vec<ServiceKey>> {
    db::query(
        "select * from publisher_key where service = ? and public_key > ?
         order by public_key limit ?",
    )
    .bind(service)
    .bind(cursor.key())
    .bind(cursor.rows())
    .all(on, read)
    .await
}

pub(crate) async fn count_keys(on: impl On, service: &Name) -> Result<usize> {
    let count = db::query("select count(*) as n from publisher_key where service = ?");
    let count: u32 = count.bind(service).one(on, |row| row.get("n")).await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// The key that has signed a release.
pub(crate) async fn key_of(
    on: impl On,
    service: &Name,
    digest: &Digest,
) -> Result<Option<ServiceKey>> {
    db::query(
        "select k.* from release join publisher_key as k
         on k.service = release.service and k.public_key = release.public_key
         where release.service = ? and release.digest = ?",
    )
    .bind(service)
    .bind(digest)
    .optional(on, read)
    .await
}

/// The releases that a key has signed.
pub(crate) async fn signed_by(
    on: impl On,
    service: &Name,
    public_key: &str,
) -> Result<Vec<Digest>> {
    db::query("select digest from release where service = ? and public_key = ?")
        .bind(service)
        .bind(public_key)
        .all(on, |row| row.get("digest"))
        .await
}
