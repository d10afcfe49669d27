//! The tables of a feed: its head, the log of changes, and the documents as they stand.

use std::collections::BTreeMap;

use api::feed::{Change, Changes, Snapshot};
use db::{Rows, row};

use crate::process;

/// How many of the last changes are kept; a copy that is further behind reads a snapshot.
const LOG_LENGTH: i64 = 10_000;
/// So many come before those that are too old are looked for again.
const PRUNED_EACH: u64 = 100;
const CHANGES_MAX: i64 = 1_000;
const PAGE: u32 = 500;

/// What a transaction changes. It is written when the transaction ends, all of it at once: a thousand
/// changes cost as many statements as one.
///
/// INVARIANT: revisions have no gaps and appear in order. The head's row is updated with the first
/// change and stays locked until the transaction ends, so the next writer waits, and one that is
/// undone leaves no number behind.
#[derive(Default)]
pub(crate) struct Draft(Vec<Drafted>);

struct Drafted {
    revision: u64,
    topic: &'static str,
    name: String,
    /// The document; none takes it out of the feed.
    body: Option<String>,
}

impl Draft {
    /// Adds a change, and answers its revision. `tx` must be the same each time.
    pub(crate) async fn add(
        &mut self,
        tx: &mut db::Tx,
        (topic, name): (&'static str, String),
        body: Option<String>,
    ) -> Result<u64, db::Error> {
        let revision = match self.revision() {
            Some(last) => last + 1,
            None => advance(tx, 1).await?,
        };
        self.0.push(Drafted { revision, topic, name, body });
        Ok(revision)
    }

    /// The last change's; none if nothing changes.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.0.last().map(|last| last.revision)
    }

    /// Writes all of it.
    pub(crate) async fn write(&mut self, tx: &mut db::Tx) -> Result<(), db::Error> {
        let Some(last) = self.revision() else { return Ok(()) };
        let drafted = std::mem::take(&mut self.0);
        if drafted.len() > 1 {
            advance(tx, drafted.len() - 1).await?;
        }
        let mut log = Rows::new(&["revision", "topic", "name", "body"]);
        // A document is as its last change has it.
        let mut documents: BTreeMap<(&str, &str), &Drafted> = BTreeMap::new();
        for it in &drafted {
            log.push(row![it.revision, it.topic, &it.name, it.body.as_deref()]);
            documents.insert((it.topic, &it.name), it);
        }
        db::query(
            "insert into feed_log (revision, topic, name, body)
             select r.revision, r.topic, r.name, r.body from {rows} as r",
        )
        .bind(log)
        .run(&mut *tx)
        .await?;
        put_documents(&mut *tx, documents.values().copied()).await?;
        let before = drafted.first().map_or(last, |first| first.revision - 1);
        if before / PRUNED_EACH == last / PRUNED_EACH {
            return Ok(());
        }
        db::query("delete from feed_log where revision <= ?")
            .bind(i64::try_from(last).unwrap_or(i64::MAX) - LOG_LENGTH)
            .run(tx)
            .await
            .map(drop)
    }
}

/// Counts so many changes, and answers the last one's revision.
async fn advance(tx: &mut db::Tx, changes: usize) -> Result<u64, db::Error> {
    db::query("update feed_head set revision = revision + ? returning revision")
        .bind(u64::try_from(changes).unwrap_or(u64::MAX))
        .one(tx, |row| row.get("revision"))
        .await
}

async fn put_documents(
    tx: &mut db::Tx,
    changes: impl Iterator<Item = &Drafted>,
) -> Result<(), db::Error> {
    let mut there = Rows::new(&["topic", "name", "revision", "body"]);
    let mut gone = Rows::new(&["topic", "name"]);
    for it in changes {
        match &it.body {
            Some(body) => there.push(row![it.topic, &it.name, it.revision, body]),
            None => gone.push(row![it.topic, &it.name]),
        }
    }
    if !there.is_empty() {
        db::query(
            "insert into feed_document (topic, name, revision, body)
             select r.topic, r.name, r.revision, r.body from {rows} as r where true
             on conflict (topic, name) do update
             set revision = excluded.revision, body = excluded.body",
        )
        .bind(there)
        .run(&mut *tx)
        .await?;
    }
    if !gone.is_empty() {
        db::query(
            "delete from feed_document where (topic, name) in
             (select r.topic, r.name from {rows} as r)",
        )
        .bind(gone)
        .run(tx)
        .await?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use db::testing::on_both;
    use serde_json::json;

    use super::*;

    /// Names, revisions and bodies.
    type Seen = Vec<(String, u64, Option<serde_json::Value>)>;

    fn seen(changes: Vec<Change>) -> Seen {
        changes.into_iter().map(|it| (it.key, it.revision, it.body)).collect()
    }

    #[tokio::test]
    async fn the_log_does_not_grow_whether_changes_come_together_or_one_by_one() {
        on_both("pruned", &[&crate::house::FEED], async |database| {
            let change = async |count: i64| {
                let (mut tx, mut draft) = (database.begin().await.unwrap(), Draft::default());
                for _ in 0..count {
                    draft.add(&mut tx, ("topic", "a".to_owned()), None).await.unwrap();
                }
                draft.write(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
            };
            let kept = async || {
                let count = db::query("select count(*) as kept from feed_log");
                count.one(&database, |row| row.get::<i64>("kept")).await.unwrap()
            };
            change(LOG_LENGTH + 150).await;
            assert_eq!(kept().await, LOG_LENGTH);
            for _ in 0..150 {
                change(1).await;
            }
            // The last that was looked for came with the last hundred.
            assert_eq!(kept().await, LOG_LENGTH);
            change(99).await;
            assert_eq!(kept().await, LOG_LENGTH + 99);
        })
        .await;
    }

    #[tokio::test]
    async fn what_a_transaction_changes_is_told_in_order_and_stands_as_it_was_changed_last() {
        on_both("draft", &[&crate::house::FEED], async |database| {
            let change = async |names: &[(&str, Option<&str>)]| {
                let (mut tx, mut draft) = (database.begin().await.unwrap(), Draft::default());
                let mut revisions = Vec::new();
                for (name, body) in names {
                    let of = ("topic", (*name).to_owned());
                    revisions.push(draft.add(&mut tx, of, body.map(str::to_owned)).await.unwrap());
                }
                draft.write(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
                revisions
            };
            assert_eq!(change(&[("a", None), ("b", Some("1")), ("c", Some("2"))]).await, [1, 2, 3]);
            assert_eq!(change(&[]).await, [0; 0]);
            let revisions =
                change(&[("c", None), ("b", Some("3")), ("a", Some("4")), ("b", Some("5"))]);
            assert_eq!(revisions.await, [4, 5, 6, 7]);
            // What is undone leaves no number behind.
            let (mut tx, mut undone) = (database.begin().await.unwrap(), Draft::default());
            undone.add(&mut tx, ("topic", "d".to_owned()), Some("6".to_owned())).await.unwrap();
            drop(tx);
            assert_eq!(change(&[("c", Some("7"))]).await, [8]);
            let told = changes(&database, 3).await.unwrap();
            let body = |number: u8| Some(json!(number));
            let rows = [("c", 4, None), ("b", 5, body(3)), ("a", 6, body(4)), ("b", 7, body(5))];
            let rows = rows.into_iter().chain([("c", 8, body(7))]);
            let rows: Seen = rows.map(|(name, at, body)| (name.to_owned(), at, body)).collect();
            assert_eq!((told.head, seen(told.changes)), (8, rows));
            let stands = snapshot(&database, None).await.unwrap();
            let rows = [("a", 6, body(4)), ("b", 7, body(5)), ("c", 8, body(7))];
            let rows: Seen =
                rows.into_iter().map(|(name, at, body)| (name.to_owned(), at, body)).collect();
            assert_eq!((stands.revision, seen(stands.documents)), (8, rows));
        })
        .await;
    }
}
