//! A table that is handed to a statement: many rows in one round trip, with the same text however
//! many there are.

use crate::value::{IntoValue, Value};

/// Rows of values, read in a statement as the table `{rows}`:
/// `update thing set count = r.count from {rows} as r where thing.id = r.id`.
///
/// A row's values are all of the column's type, and the first row says which. A statement cannot
/// be given none: whoever has nothing to change asks nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    names: &'static [&'static str],
    columns: Vec<Vec<Value>>,
}

/// The values of a row, for [`Rows::push`].
#[macro_export]
macro_rules! row {
    ($($value:expr),+ $(,)?) => { [$($crate::IntoValue::into_value($value)),+] };
}

impl Rows {
    /// No rows yet, with columns of these names.
    pub fn new(names: &'static [&'static str]) -> Self {
        Self { names, columns: vec![Vec::new(); names.len()] }
    }

    /// Rows of one column.
    pub fn of<T: IntoValue>(
        names: &'static [&'static str; 1],
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let column = values.into_iter().map(T::into_value).collect();
        Self { names, columns: vec![column] }
    }

    /// Adds a row, a value for each column.
    pub fn push<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.names.len(), "a value for each column");
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.columns.first().is_none_or(Vec::is_empty)
    }

    pub(crate) fn can_be_given(&self) -> bool {
        let unfit =
            |value: &Value| matches!(value, Value::Bytes(_) | Value::Unfit(_) | Value::Rows(_));
        !self.is_empty() && !self.columns.iter().flatten().any(unfit)
    }

    pub(crate) fn into_columns(self) -> Vec<Vec<Value>> {
        self.columns
    }

    /// For SQLite: one value, a document of rows.
    pub(crate) fn sqlite_table(&self) -> String {
        let named = self.names.iter().enumerate();
        let columns: Vec<String> =
            named.map(|(place, name)| format!("value ->> {place} as {name}")).collect();
        format!("(select {} from json_each(?))", columns.join(", "))
    }

    /// The document of rows.
    pub(crate) fn document(&self) -> String {
        let count = self.columns.first().map_or(0, Vec::len);
        let rows: Vec<Vec<serde_json::Value>> = (0..count)
            .map(|place| self.columns.iter().map(|column| json(&column[place])).collect())
            .collect();
        serde_json::Value::from(rows).to_string()
    }

    /// For PostgreSQL: a value for each column, an array. Read by a query of its own, so that nobody
    /// counts the rows when a plan is made: a thousand of them would have all of a table read that
    /// has an index, again on each new connection.
    pub(crate) fn postgres_table(&self) -> String {
        let kind = |column: &Vec<Value>| match column.first() {
            Some(Value::Number(_)) => "bigint",
            Some(Value::Truth(_)) => "boolean",
            _ => "text",
        };
        let arrays: Vec<String> =
            self.columns.iter().map(|column| format!("(select ?::{}[])", kind(column))).collect();
        let (arrays, names) = (arrays.join(", "), self.names.join(", "));
        format!("(select * from unnest({arrays}) as given ({names}))")
    }
}

impl IntoValue for Rows {
    const NULL: Value = Value::Text(None);
    fn into_value(self) -> Value {
        Value::Rows(self)
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => text.clone().into(),
        Value::Number(number) => (*number).into(),
        Value::Truth(truth) => (*truth).into(),
        Value::Bytes(_) | Value::Unfit(_) | Value::Rows(_) => serde_json::Value::Null,
    }
}
