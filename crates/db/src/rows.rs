//! Tables and lists that are handed to a statement: many values in one round trip, with the same text
//! however many there are.

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
        !self.is_empty() && self.columns.iter().flatten().all(is_fit)
    }

    pub(crate) fn into_arrays(self) -> Vec<(Kind, Vec<Value>)> {
        self.columns.into_iter().map(|column| (Kind::of_column(&column), column)).collect()
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
        let kinds = self.columns.iter().map(|column| Kind::of_column(column).word());
        let arrays: Vec<String> = kinds.map(|kind| format!("(select ?::{kind}[])")).collect();
        let (arrays, names) = (arrays.join(", "), self.names.join(", "));
        format!("(select * from unnest({arrays}) as given ({names}))")
    }
}

/// Values that a statement looks for: `select id from thing where id in {list}`.
///
/// They are looked up one by one in the index of what is compared with them, however large PostgreSQL
/// takes the table for, which a join with [`Rows`] leaves to it: a queue that was empty when it was
/// counted has one row for the planner, and would be read whole for each of them. For the same reason
/// a statement that sorts by another column than the one it looks in says `order by id + 0`: of such a
/// table it would read the index that has that order, from end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    kind: Kind,
    values: Vec<Value>,
}

impl List {
    /// A list of values of one column.
    pub fn of<T: IntoValue>(values: impl IntoIterator<Item = T>) -> Self {
        Self { kind: Kind::of(&T::NULL), values: values.into_iter().map(T::into_value).collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn can_be_given(&self) -> bool {
        self.values.iter().all(is_fit)
    }

    pub(crate) fn into_array(self) -> (Kind, Vec<Value>) {
        (self.kind, self.values)
    }

    /// The document of values, for SQLite.
    pub(crate) fn document(&self) -> String {
        self.values.iter().map(json).collect::<serde_json::Value>().to_string()
    }

    /// For PostgreSQL: one value, an array.
    pub(crate) fn postgres_condition(&self) -> String {
        format!("= any (?::{}[])", self.kind.word())
    }
}

impl IntoValue for List {
    const NULL: Value = Value::Text(None);
    fn into_value(self) -> Value {
        Value::List(self)
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Truth,
}

impl Kind {
    const fn of(value: &Value) -> Self {
        match value {
            Value::Number(_) => Self::Number,
            Value::Truth(_) => Self::Truth,
            _ => Self::Text,
        }
    }

    fn of_column(column: &[Value]) -> Self {
        column.first().map_or(Self::Text, Self::of)
    }

    /// As PostgreSQL calls it.
    const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "bigint",
            Self::Truth => "boolean",
        }
    }
}

const fn is_fit(value: &Value) -> bool {
    matches!(value, Value::Text(_) | Value::Number(_) | Value::Truth(_))
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
        _ => serde_json::Value::Null,
    }
}
