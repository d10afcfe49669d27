//! A statement with its values, and the five verbs that run it.

use std::future::Future;

use serde::Serialize;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, query::Query as Prepared};

use crate::{
    Db, Error, List, Row, Rows, Tx, crash,
    database::{Pools, Transaction},
    row::Found,
    rows::Kind,
    value::{IntoValue, Unfit, Value},
};

/// The words that lock what is read, and what PostgreSQL calls it.
const LOCKS: [(&str, &str); 3] = [
    ("/*for update*/", "for update"),
    ("/*for share*/", "for share"),
    ("/*skip locked*/", "for update skip locked"),
];

/// A statement with its values.
#[derive(Debug, Clone)]
pub struct Query {
    text: String,
    values: Vec<Value>,
}

/// Begins a statement; each `?` in `text` is a value that [`Query::bind`] gives, in order.
pub fn query(text: &str) -> Query {
    Query { text: text.to_owned(), values: Vec::new() }
}

impl Query {
    /// Gives the next value.
    #[must_use]
    pub fn bind(mut self, value: impl IntoValue) -> Self {
        self.values.push(value.into_value());
        self
    }

    /// Gives the next value, a document, as JSON.
    #[must_use]
    pub fn bind_json<T: Serialize>(mut self, document: &T) -> Self {
        let text = serde_json::to_string(document);
        self.values.push(match text {
            Ok(text) => Value::Text(Some(text)),
            Err(cause) => Value::Unfit(Unfit::Document(cause.to_string())),
        });
        self
    }

    /// Runs it; answers how many rows it changed.
    pub async fn run(self, on: impl On) -> Result<u64, Error> {
        on.run(self.checked()?).await
    }

    /// The only row.
    pub async fn one<T>(
        self,
        on: impl On,
        read: impl FnOnce(&Row) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let found = self.optional(on, read).await?;
        found.ok_or(Error::Engine(sqlx::Error::RowNotFound))
    }

    /// The first row, if there is one.
    pub async fn optional<T>(
        self,
        on: impl On,
        read: impl FnOnce(&Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let rows = on.rows(self.checked()?).await?;
        rows.first().map(read).transpose()
    }

    /// All rows.
    pub async fn all<T>(
        self,
        on: impl On,
        read: impl FnMut(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let rows = on.rows(self.checked()?).await?;
        rows.iter().map(read).collect()
    }

    /// How the engine would run it: for tests of what indexes are for.
    pub async fn plan(self, db: &Db) -> Result<String, Error> {
        let (word, column) = match db.pools() {
            Pools::Sqlite { .. } => ("explain query plan", "detail"),
            Pools::Postgres(_) => ("explain", "QUERY PLAN"),
        };
        let asked = Self { text: format!("{word} {}", self.text), values: self.values };
        let lines: Vec<String> = asked.all(db, |row| row.get(column)).await?;
        Ok(lines.join("\n"))
    }

    fn checked(self) -> Result<Self, Error> {
        for value in &self.values {
            match value {
                Value::Unfit(Unfit::Range) => return Err(Error::Range),
                Value::Unfit(Unfit::Document(cause)) => {
                    return Err(Error::encode("document", cause));
                }
                Value::Rows(rows) if !rows.can_be_given() => {
                    return Err(Error::encode("rows", "there are none, or one does not fit"));
                }
                Value::List(list) if !list.can_be_given() => {
                    return Err(Error::encode("list", "a value does not fit"));
                }
                _ => {}
            }
        }
        Ok(self)
    }

    /// Whether it changes nothing: such a statement needs no writer.
    fn reads(&self) -> bool {
        let word = self.text.trim_start().get(..6);
        word.is_some_and(|word| word.eq_ignore_ascii_case("select"))
    }

    /// The same, but it locks nothing of what it reads. A statement by itself ends at once, so a lock would
    /// keep nobody away: it would only wait for others, and have the server write down that it was there.
    fn without_locks(mut self) -> Self {
        for (mark, _) in LOCKS {
            self.text = self.text.replace(mark, "");
        }
        self
    }

    fn for_sqlite(self) -> Prepared<'static, Sqlite, <Sqlite as sqlx::Database>::Arguments> {
        let list = |_: &List| "in (select value from json_each(?))".to_owned();
        let text = self.with_tables(Rows::sqlite_table, list);
        let prepared = sqlx::query(AssertSqlSafe(text));
        self.values.into_iter().fold(prepared, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Truth(truth) => query.bind(truth),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Rows(rows) => query.bind(rows.document()),
            Value::List(list) => query.bind(list.document()),
            Value::Unfit(_) => query,
        })
    }

    fn for_postgres(self) -> Prepared<'static, Postgres, <Postgres as sqlx::Database>::Arguments> {
        let text = self.with_tables(Rows::postgres_table, List::postgres_condition);
        let text = postgres_text(&text);
        let prepared = sqlx::query(AssertSqlSafe(text));
        self.values.into_iter().fold(prepared, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Truth(truth) => query.bind(truth),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Rows(rows) => rows.into_arrays().into_iter().fold(query, bind_array),
            Value::List(list) => bind_array(query, list.into_array()),
            Value::Unfit(_) => query,
        })
    }

    /// The text with each `{rows}` and `in {list}` as the engine reads it.
    fn with_tables(
        &self,
        table: impl Fn(&Rows) -> String,
        condition: impl Fn(&List) -> String,
    ) -> String {
        self.values.iter().fold(self.text.clone(), |text, value| match value {
            Value::Rows(rows) => text.replacen("{rows}", &table(rows), 1),
            Value::List(list) => text.replacen("in {list}", &condition(list), 1),
            _ => text,
        })
    }
}

type PostgresQuery = Prepared<'static, Postgres, <Postgres as sqlx::Database>::Arguments>;

fn bind_array(query: PostgresQuery, (kind, values): (Kind, Vec<Value>)) -> PostgresQuery {
    macro_rules! array {
        ($variant:ident) => {
            query.bind(
                values
                    .into_iter()
                    .map(|value| if let Value::$variant(value) = value { value } else { None })
                    .collect::<Vec<_>>(),
            )
        };
    }
    match kind {
        Kind::Number => array!(Number),
        Kind::Truth => array!(Truth),
        Kind::Text => array!(Text),
    }
}

/// PostgreSQL numbers its values and says how rows are locked.
fn postgres_text(text: &str) -> String {
    let locking = |text: String, (mark, locks)| text.replace(mark, locks);
    let text = LOCKS.into_iter().fold(text.to_owned(), locking);
    let mut numbered = String::with_capacity(text.len() + 16);
    let (mut count, mut quoted) = (0, false);
    for letter in text.chars() {
        match letter {
            '\'' => quoted = !quoted,
            '?' if !quoted => {
                count += 1;
                numbered.push('$');
                numbered.push_str(&i32::to_string(&count));
                continue;
            }
            _ => {}
        }
        numbered.push(letter);
    }
    numbered
}

/// What a statement can be run on: `&Db`, each statement by itself, or `&mut Tx`.
pub trait On: Send {
    /// Runs it; answers how many rows it changed.
    fn run(self, query: Query) -> impl Future<Output = Result<u64, Error>> + Send;
    /// Runs it; answers with its rows.
    fn rows(self, query: Query) -> impl Future<Output = Result<Vec<Row>, Error>> + Send;
}

impl On for &Db {
    async fn run(self, query: Query) -> Result<u64, Error> {
        let changed = match self.pools() {
            Pools::Sqlite { writer, .. } => {
                query.for_sqlite().execute(writer).await?.rows_affected()
            }
            Pools::Postgres(pool) => query.for_postgres().execute(pool).await?.rows_affected(),
        };
        crash::step();
        Ok(changed)
    }

    async fn rows(self, query: Query) -> Result<Vec<Row>, Error> {
        let reads = query.reads();
        let query = if reads { query.without_locks() } else { query };
        let rows = match self.pools() {
            Pools::Sqlite { writer, readers } => {
                let pool = if reads { readers } else { writer };
                sqlite_rows(query.for_sqlite().fetch_all(pool).await?)
            }
            Pools::Postgres(pool) => postgres_rows(query.for_postgres().fetch_all(pool).await?),
        };
        if !reads {
            crash::step();
        }
        Ok(rows)
    }
}

impl On for &mut Tx {
    async fn run(self, query: Query) -> Result<u64, Error> {
        self.step()?;
        let changed = match &mut self.transaction {
            Transaction::Sqlite(tx) => query.for_sqlite().execute(&mut **tx).await?.rows_affected(),
            Transaction::Postgres(tx) => {
                query.for_postgres().execute(&mut **tx).await?.rows_affected()
            }
        };
        self.failed = false;
        Ok(changed)
    }

    async fn rows(self, query: Query) -> Result<Vec<Row>, Error> {
        self.step()?;
        let rows = match &mut self.transaction {
            Transaction::Sqlite(tx) => sqlite_rows(query.for_sqlite().fetch_all(&mut **tx).await?),
            Transaction::Postgres(tx) => {
                postgres_rows(query.for_postgres().fetch_all(&mut **tx).await?)
            }
        };
        self.failed = false;
        Ok(rows)
    }
}

fn sqlite_rows(rows: Vec<sqlx::sqlite::SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(|row| Row(Found::Sqlite(row))).collect()
}

fn postgres_rows(rows: Vec<sqlx::postgres::PgRow>) -> Vec<Row> {
    rows.into_iter().map(|row| Row(Found::Postgres(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_and_quoted_text_is_left_alone() {
        let text = postgres_text("select 'why?' from a where b = ? and c = ? /*skip locked*/");
        assert_eq!(text, "select 'why?' from a where b = $1 and c = $2 for update skip locked");
    }

    #[test]
    fn only_a_select_is_read() {
        assert!(query(" SELECT 1").reads());
        for other in ["update a set b = 1 returning b", "with a as (select 1) delete from b", ""] {
            assert!(!query(other).reads(), "{other}");
        }
    }
}
