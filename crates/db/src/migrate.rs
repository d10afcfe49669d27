//! Bringing a database to the shape that the code needs.

use sqlx::AssertSqlSafe;
use types::Digest;

use crate::{Db, Error, Tx, database::Transaction, query};

/// A step in the shape of a database. One that was applied is never edited: a later one follows.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its name, unique within the database.
    pub name: &'static str,
    /// What it does, in statements that both engines read.
    pub sql: &'static str,
}

const TABLE: &str =
    "create table if not exists migration (name text primary key, digest text not null)";
/// Any number, the same in each release, so that two that start at once take turns.
const LOCK: &str = "select pg_advisory_xact_lock(7206103)";

/// Applies what is missing: all of it, or nothing.
pub(crate) async fn migrate(db: &Db, groups: &[&[Migration]]) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    if matches!(tx.transaction, Transaction::Postgres(_)) {
        script(&mut tx, LOCK).await?;
    }
    script(&mut tx, TABLE).await?;
    for migration in groups.iter().copied().flatten() {
        apply(&mut tx, migration).await?;
    }
    tx.commit().await
}

async fn apply(tx: &mut Tx, migration: &Migration) -> Result<(), Error> {
    let digest = Digest::of(migration.sql.as_bytes());
    let applied = query("select digest from migration where name = ?")
        .bind(migration.name)
        .optional(&mut *tx, |row| row.get::<Digest>("digest"))
        .await?;
    match applied {
        Some(applied) if applied == digest => return Ok(()),
        Some(_) => return Err(Error::Changed(migration.name.to_owned())),
        None => {}
    }
    script(tx, migration.sql).await?;
    query("insert into migration (name, digest) values (?, ?)")
        .bind(migration.name)
        .bind(digest)
        .run(tx)
        .await
        .map(drop)
}

async fn script(tx: &mut Tx, text: &'static str) -> Result<(), Error> {
    let script = sqlx::raw_sql(AssertSqlSafe(text));
    match &mut tx.transaction {
        Transaction::Sqlite(tx) => script.execute(&mut **tx).await.map(drop)?,
        Transaction::Postgres(tx) => script.execute(&mut **tx).await.map(drop)?,
    }
    Ok(())
}
