//! Brings a database to the shape that this release needs.

use tenancy::Timestamp;

use super::{Db, Result};

/// Every change of shape there ever was, in order; what stands here is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "forum", include_str!("../../migrations/0001_forum.sql")),
    (2, "polls", include_str!("../../migrations/0002_polls.sql")),
    (3, "digest", include_str!("../../migrations/0003_digest.sql")),
];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS migration \
    (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)";
const LAST: &str = "SELECT COALESCE(MAX(version), 0) FROM migration";
const APPLIED: &str = "INSERT INTO migration (version, name, applied_at) VALUES ($1, $2, $3)";
/// Any number, the same in each release, so that two who migrate at once take turns.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7206102)";

macro_rules! apply {
    ($tx:ident, $now:ident) => {{
        sqlx::raw_sql(TABLE).execute(&mut *$tx).await?;
        let (last,): (i64,) = sqlx::query_as(LAST).fetch_one(&mut *$tx).await?;
        let mut applied = Vec::new();
        for (version, name, text) in MIGRATIONS.iter().filter(|(version, ..)| *version > last) {
            sqlx::raw_sql(*text).execute(&mut *$tx).await?;
            let row = sqlx::query(APPLIED).bind(version).bind(name).bind($now.micros());
            row.execute(&mut *$tx).await?;
            applied.push(*name);
        }
        $tx.commit().await?;
        Ok(applied)
    }};
}

/// Applies what is missing, all of it or nothing; the names of what was applied.
pub(crate) async fn migrate(db: &Db, now: Timestamp) -> Result<Vec<&'static str>> {
    match db {
        Db::Sqlite(pool) => {
            let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
            apply!(tx, now)
        }
        Db::Postgres(pool) => {
            let mut tx = pool.begin().await?;
            sqlx::raw_sql(LOCK).execute(&mut *tx).await?;
            apply!(tx, now)
        }
    }
}
