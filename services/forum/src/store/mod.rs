//! Everything that is kept, and every SQL statement. One text runs on both engines.

pub(crate) mod members;
mod migrate;
pub(crate) mod polls;
mod pools;
pub(crate) mod topics;

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    PgPool, Postgres, Row as _, Sqlite, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow},
};

pub(crate) use migrate::migrate;
pub(crate) use pools::Pools;

pub(crate) type Result<T> = std::result::Result<T, sqlx::Error>;

/// One forum's database. Clones share its connections.
#[derive(Clone)]
pub(crate) enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Few, because one process holds many forums.
const CONNECTIONS_MAX: u32 = 4;
const IDLE: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(5);

impl Db {
    /// The database at `url`, connected to when first needed. `create` makes a missing file.
    pub(crate) fn open(url: &str, create: bool) -> Result<Self> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)?
                .create_if_missing(create)
                .journal_mode(SqliteJournalMode::Wal)
                .busy_timeout(PATIENCE);
            let pool = SqlitePoolOptions::new()
                .max_connections(CONNECTIONS_MAX)
                .acquire_timeout(PATIENCE)
                .idle_timeout(IDLE);
            Ok(Self::Sqlite(pool.connect_lazy_with(options)))
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let pool = PgPoolOptions::new()
                .max_connections(CONNECTIONS_MAX)
                .acquire_timeout(PATIENCE)
                .idle_timeout(IDLE);
            Ok(Self::Postgres(pool.connect_lazy_with(PgConnectOptions::from_str(url)?)))
        } else {
            // The address itself is not told, since it may hold a password.
            Err(sqlx::Error::Configuration(
                "the database's address begins with neither `sqlite:` nor `postgres:`".into(),
            ))
        }
    }

    /// Runs `statements` in one transaction.
    pub(crate) async fn together(&self, statements: Vec<Statement>) -> Result<()> {
        match self {
            Self::Sqlite(pool) => {
                let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                for statement in statements {
                    statement.sqlite().execute(&mut *tx).await?;
                }
                tx.commit().await
            }
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                for statement in statements {
                    statement.postgres().execute(&mut *tx).await?;
                }
                tx.commit().await
            }
        }
    }
}

/// A value of a statement.
pub(crate) enum Value {
    Text(Option<String>),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}
impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}
impl From<tenancy::Timestamp> for Value {
    fn from(moment: tenancy::Timestamp) -> Self {
        Self::Number(moment.micros())
    }
}

/// A statement with its values; `$1` is the first.
pub(crate) struct Statement {
    text: &'static str,
    values: Vec<Value>,
}

/// Begins a statement.
pub(crate) fn sql(text: &'static str) -> Statement {
    Statement { text, values: Vec::new() }
}

macro_rules! bound {
    ($name:ident, $engine:ty) => {
        fn $name<'q>(
            self,
        ) -> sqlx::query::Query<'q, $engine, <$engine as sqlx::Database>::Arguments> {
            self.values.into_iter().fold(sqlx::query(self.text), |query, value| match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
            })
        }
    };
}

impl Statement {
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    bound!(sqlite, Sqlite);
    bound!(postgres, Postgres);

    /// Runs it; how many rows it touched.
    pub(crate) async fn run(self, db: &Db) -> Result<u64> {
        Ok(match db {
            Db::Sqlite(pool) => self.sqlite().execute(pool).await?.rows_affected(),
            Db::Postgres(pool) => self.postgres().execute(pool).await?.rows_affected(),
        })
    }

    /// All rows that it finds.
    pub(crate) async fn all<T>(self, db: &Db, read: fn(&Row) -> Result<T>) -> Result<Vec<T>> {
        match db {
            Db::Sqlite(pool) => {
                let rows = self.sqlite().fetch_all(pool).await?;
                rows.into_iter().map(|row| read(&Row::Sqlite(row))).collect()
            }
            Db::Postgres(pool) => {
                let rows = self.postgres().fetch_all(pool).await?;
                rows.into_iter().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }

    /// The first row that it finds.
    pub(crate) async fn first<T>(self, db: &Db, read: fn(&Row) -> Result<T>) -> Result<Option<T>> {
        Ok(self.all(db, read).await?.into_iter().next())
    }
}

/// A found row, read by the place of the column.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text(&self, place: usize) -> Result<String> {
        match self {
            Self::Sqlite(row) => row.try_get(place),
            Self::Postgres(row) => row.try_get(place),
        }
    }

    pub(crate) fn maybe_text(&self, place: usize) -> Result<Option<String>> {
        match self {
            Self::Sqlite(row) => row.try_get(place),
            Self::Postgres(row) => row.try_get(place),
        }
    }

    pub(crate) fn number(&self, place: usize) -> Result<i64> {
        match self {
            Self::Sqlite(row) => row.try_get(place),
            Self::Postgres(row) => row.try_get(place),
        }
    }

    pub(crate) fn moment(&self, place: usize) -> Result<tenancy::Timestamp> {
        self.number(place).map(tenancy::Timestamp::from_micros)
    }
}

/// What the forum is called, if it has been seeded.
pub(crate) async fn setting(db: &Db, name: &str) -> Result<Option<String>> {
    sql("SELECT value FROM setting WHERE name = $1").bind(name).first(db, |row| row.text(0)).await
}

/// Keeps a setting, unless there is one: what a seed does twice, it does once.
pub(crate) fn insert_setting(name: &str, value: &str) -> Statement {
    sql("INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
}
