//! An open database, and a transaction in it.

use std::{future::Future, pin::Pin};

use sqlx::{Connection, PgPool, Postgres, Sqlite, SqlitePool, pool::PoolConnectionMetadata};

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

/// A transaction. It is undone if it is dropped before it is committed, and once a statement in it
/// has failed nothing but that can be done with it: PostgreSQL says so itself, and SQLite may have
/// undone it already, as when the disk is full, and would keep what follows by itself.
pub struct Tx {
    pub(crate) transaction: Transaction,
    pub(crate) failed: bool,
}

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
        let transaction = match &self.0 {
            Pools::Sqlite { writer, .. } => {
                Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Pools::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        };
        Ok(Tx { transaction, failed: false })
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
    /// Before each statement; it counts as failed until it has succeeded.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.failed, true) { Err(Error::Undone) } else { Ok(()) }
    }

    /// Makes it so.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.step()?;
        match self.transaction {
            Transaction::Sqlite(tx) => tx.commit().await?,
            Transaction::Postgres(tx) => tx.commit().await?,
        }
        crash::step();
        Ok(())
    }
}

/// Whether a connection that is given back can be used again. One that could not be led out of its
/// transaction is thrown away: whoever got it next would find themselves in that transaction.
pub(crate) fn is_free<C: Connection>(
    connection: &mut C,
    _: PoolConnectionMetadata,
) -> Pin<Box<dyn Future<Output = Result<bool, sqlx::Error>> + Send + '_>> {
    Box::pin(async move {
        if connection.is_in_transaction() {
            // Undoing may still be under way; after this it has ended.
            connection.ping().await?;
        }
        let free = !connection.is_in_transaction();
        if !free {
            tracing::warn!("a connection did not leave its transaction and is thrown away");
        }
        Ok(free)
    })
}
