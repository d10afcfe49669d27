//! An open database, and a transaction in it.

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};

use crate::{Error, crash};

/// An open database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Db(Pools);

#[derive(Debug, Clone)]
pub(crate) enum Pools {
    /// SQLite has one writer at a time, so there is one connection that writes: whoever wants it
    /// waits in line here instead of polling a lock there.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// A transaction. It is undone if it is dropped before it is committed.
pub struct Tx(pub(crate) Transaction);

pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Db {
    pub(crate) fn new(pools: Pools) -> Self {
        Self(pools)
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.0
    }

    /// Begins a transaction; on SQLite it is the only one that writes until it ends.
    pub async fn begin(&self) -> Result<Tx, Error> {
        Ok(Tx(match &self.0 {
            Pools::Sqlite { writer, .. } => {
                Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Pools::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        }))
    }

    /// Closes its connections; what is asked of it afterwards fails.
    pub async fn close(&self) {
        match &self.0 {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Makes it so.
    pub async fn commit(self) -> Result<(), Error> {
        match self.0 {
            Transaction::Sqlite(tx) => tx.commit().await?,
            Transaction::Postgres(tx) => tx.commit().await?,
        }
        crash::step();
        Ok(())
    }
}
