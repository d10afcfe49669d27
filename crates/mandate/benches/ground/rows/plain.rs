//! As a program for one engine does it: sqlx itself, with the settings that `db` has.

use std::time::Duration;

use db::Engine;
use sqlx::{
    ConnectOptions as _, PgPool, Row as _, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};

use super::{Item, Items, made};

const PATIENCE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_mins(1);

pub(crate) struct PlainSqlite {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl PlainSqlite {
    pub(crate) async fn open(engine: &Engine) -> anyhow::Result<Self> {
        let url = made(engine, "plain").await?;
        let options = url
            .reveal()
            .parse::<SqliteConnectOptions>()?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        let reading = options.clone().pragma("query_only", "on");
        let pool = |count: u32| {
            SqlitePoolOptions::new()
                .max_connections(count)
                .min_connections(1)
                .acquire_timeout(PATIENCE)
                .idle_timeout(IDLE)
                .test_before_acquire(false)
        };
        Ok(Self {
            writer: pool(1).connect_with(options).await?,
            reader: pool(4).connect_with(reading).await?,
        })
    }
}

pub(crate) struct PlainPostgres(PgPool);

impl PlainPostgres {
    pub(crate) async fn open(engine: &Engine) -> anyhow::Result<Self> {
        let url = made(engine, "plain").await?;
        let options = url.reveal().parse::<PgConnectOptions>()?.disable_statement_logging();
        let pool =
            PgPoolOptions::new().max_connections(5).acquire_timeout(PATIENCE).idle_timeout(IDLE);
        Ok(Self(pool.connect_with(options).await?))
    }
}

/// The same five functions over each engine's types, which sqlx keeps apart.
macro_rules! items {
    ($name:ident, $row:ty, |$items:ident| $writer:expr, $reader:expr, begin $begin:expr) => {
        impl Items for $name {
            async fn insert(&self, item: Item) -> anyhow::Result<()> {
                let $items = self;
                items!(@insert item).execute($writer).await?;
                Ok(())
            }

            async fn insert_all(&self, items: Vec<Item>) -> anyhow::Result<()> {
                let $items = self;
                let mut tx = $begin.await?;
                for item in items {
                    items!(@insert item).execute(&mut *tx).await?;
                }
                Ok(tx.commit().await?)
            }

            async fn get(&self, key: &str) -> anyhow::Result<Item> {
                let $items = self;
                let get = "select key, owner, size, done, note from item where key = $1";
                let row: $row = sqlx::query(get).bind(key).fetch_one($reader).await?;
                items!(@read row)
            }

            async fn list(&self, count: u32) -> anyhow::Result<Vec<Item>> {
                let $items = self;
                let list = "select key, owner, size, done, note from item order by key limit $1";
                let rows: Vec<$row> =
                    sqlx::query(list).bind(i64::from(count)).fetch_all($reader).await?;
                rows.iter().map(|row| items!(@read row)).collect()
            }

            async fn close(&self) {
                let $items = self;
                $writer.close().await;
                $reader.close().await;
            }
        }
    };

    (@insert $item:ident) => {
        sqlx::query("insert into item (key, owner, size, done, note) values ($1, $2, $3, $4, $5)")
            .bind($item.key)
            .bind($item.owner)
            .bind($item.size)
            .bind($item.done)
            .bind($item.note)
    };

    (@read $row:ident) => {
        Ok(Item {
            key: $row.try_get("key")?,
            owner: $row.try_get("owner")?,
            size: $row.try_get("size")?,
            done: $row.try_get("done")?,
            note: $row.try_get("note")?,
        })
    };
}

items!(PlainSqlite, SqliteRow, |items| &items.writer, &items.reader,
    begin items.writer.begin_with("BEGIN IMMEDIATE"));
items!(PlainPostgres, PgRow, |items| &items.0, &items.0, begin items.0.begin());
