//! The tables of a feed: its head, the log of changes, and the documents as they stand.

use api::feed::{Change, Changes, Snapshot};

use crate::process;

/// How many of the last changes are kept; a copy that is further behind reads a snapshot.
const LOG_LENGTH: i64 = 10_000;
const CHANGES_MAX: i64 = 1_000;
const PAGE: u32 = 500;

/// Writes a change in the transaction of what it tells of.
///
/// INVARIANT: revisions have no gaps and appear in order. The head's row is updated first and
/// stays locked until the transaction ends, so the next writer waits, and one that is undone
/// leaves no number behind.
pub(crate) async fn append(
    tx: &mut db::Tx,
    topic: &str,
    name: &str,
    body: Option<&str>,
) -> Result<u64, db::Error> {
    let revision: u64 =
        db::query("update feed_head set revision = revision + 1 returning revision")
            .one(&mut *tx, |row| row.get("revision"))
            .await?;
    db::query("insert into feed_log (revision, topic, name, body) values (?, ?, ?, ?)")
        .bind(revision)
        .bind(topic)
        .bind(name)
        .bind(body)
        .run(&mut *tx)
        .await?;
    match body {
        Some(body) => {
            db::query(
                "insert into feed_document (topic, name, revision, body) values (?, ?, ?, ?)
                 on conflict (topic, name) do update
                 set revision = excluded.revision, body = excluded.body",
            )
            .bind(topic)
            .bind(name)
            .bind(revision)
            .bind(body)
            .run(&mut *tx)
            .await?;
        }
        None => {
            db::query("delete from feed_document where topic = ? and name = ?")
                .bind(topic)
                .bind(name)
                .run(&mut *tx)
                .await?;
        }
    }
    db::query("delete from feed_log where revision <= ?")
        .bind(i64::try_from(revision).unwrap_or(i64::MAX) - LOG_LENGTH)
        .run(tx)
        .await?;
    Ok(revision)
}

/// Keeps a follower's name, so that it is waited for after a restart.
pub(crate) async fn remember_follower(db: &db::Db, follower: &str) -> Result<(), db::Error> {
    db::query("insert into feed_follower (follower) values (?) on conflict (follower) do nothing")
        .bind(follower)
        .run(db)
        .await
        .map(drop)
}

/// The names of all followers that may be alive; those that are dead for certain are forgotten.
pub(crate) async fn living_followers(db: &db::Db) -> Result<Vec<String>, db::Error> {
    let known: Vec<String> =
        db::query("select follower from feed_follower").all(db, |row| row.get("follower")).await?;
    let is_dead = |follower: &String| process::is_dead(process::of_copy(follower).1);
    let (dead, living): (Vec<_>, Vec<_>) = known.into_iter().partition(is_dead);
    for follower in dead {
        forget_follower(db, &follower).await?;
    }
    Ok(living)
}

pub(crate) async fn forget_follower(db: &db::Db, follower: &str) -> Result<(), db::Error> {
    db::query("delete from feed_follower where follower = ?").bind(follower).run(db).await.map(drop)
}

/// The newest revision.
pub(crate) async fn head(on: impl db::On) -> Result<u64, db::Error> {
    db::query("select revision from feed_head").one(on, |row| row.get("revision")).await
}

fn change(row: &db::Row) -> Result<Change, db::Error> {
    let body: Option<String> = row.get("body")?;
    let body = body.map(|text| serde_json::from_str(&text));
    Ok(Change {
        revision: row.get("revision")?,
        topic: row.get("topic")?,
        key: row.get("name")?,
        body: body.transpose().map_err(|cause| db::Error::encode("body", cause))?,
    })
}

/// What came after `applied`, or that the log does not reach back that far.
pub(crate) async fn changes(db: &db::Db, applied: u64) -> Result<Changes, db::Error> {
    let head = head(db).await?;
    if applied >= head {
        return Ok(Changes { changes: Vec::new(), head, reset: applied > head });
    }
    let changes = db::query(
        "select revision, topic, name, body from feed_log where revision > ? order by revision limit ?",
    )
    .bind(applied)
    .bind(CHANGES_MAX)
    .all(db, change)
    .await?;
    let reset = changes.first().is_none_or(|first| first.revision != applied + 1);
    Ok(Changes { changes: if reset { Vec::new() } else { changes }, head, reset })
}

/// A page of the documents as they stand; `after` is where the page before ended.
///
/// The head is read before the documents: what changes between the two is in the page and comes
/// again as a change, and applying a document twice is applying it once.
pub(crate) async fn snapshot(db: &db::Db, after: Option<&str>) -> Result<Snapshot, db::Error> {
    let revision = head(db).await?;
    let (topic, name) = after.and_then(|after| after.split_once(':')).unwrap_or(("", ""));
    let documents = db::query(
        "select revision, topic, name, body from feed_document
         where (topic, name) > (?, ?) order by topic, name limit ?",
    )
    .bind(topic)
    .bind(name)
    .bind(PAGE)
    .all(db, change)
    .await?;
    let full = documents.len() == PAGE as usize;
    let next = documents.last().filter(|_| full).map(|last| format!("{}:{}", last.topic, last.key));
    Ok(Snapshot { revision, documents, next })
}
