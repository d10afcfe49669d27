//! What can be bound to a statement.

use types::{
    Amount, Currency, Digest, Grantable, Host, Id, Kind, Name, Permission, Principal, Resource,
    Timestamp,
};

use crate::{List, Rows};

/// A value of a statement. The absent ones carry their type, which PostgreSQL asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// TEXT.
    Text(Option<String>),
    /// BIGINT.
    Number(Option<i64>),
    /// BOOLEAN.
    Truth(Option<bool>),
    /// BYTEA.
    Bytes(Option<Vec<u8>>),
    /// A number beyond BIGINT, or a document that cannot be written: the statement will not run.
    Unfit(Unfit),
    /// A table.
    Rows(Rows),
    /// What a column is compared with.
    List(List),
}

/// Why a value cannot be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is beyond what a BIGINT holds.
    Range,
    /// It cannot be written as JSON.
    Document(String),
}

/// What has a form in the database.
pub trait IntoValue {
    /// The absent value of its column's type.
    const NULL: Value;
    /// Its form.
    fn into_value(self) -> Value;
}

impl<T: IntoValue> IntoValue for Option<T> {
    const NULL: Value = T::NULL;
    fn into_value(self) -> Value {
        self.map_or(T::NULL, T::into_value)
    }
}

macro_rules! plain {
    ($($type:ty, $variant:ident, |$value:ident| $form:expr;)+) => {$(
        impl IntoValue for $type {
            const NULL: Value = Value::$variant(None);
            fn into_value(self) -> Value {
                let $value = self;
                Value::$variant(Some($form))
            }
        }
    )+};
}

plain! {
    &str, Text, |text| text.to_owned();
    &String, Text, |text| text.clone();
    String, Text, |text| text;
    bool, Truth, |truth| truth;
    i64, Number, |number| number;
    i32, Number, |number| i64::from(number);
    u32, Number, |number| i64::from(number);
    u16, Number, |number| i64::from(number);
    Timestamp, Number, |moment| moment.micros();
    &[u8], Bytes, |bytes| bytes.to_vec();
    Vec<u8>, Bytes, |bytes| bytes;
}

impl IntoValue for u64 {
    const NULL: Value = Value::Number(None);
    fn into_value(self) -> Value {
        i64::try_from(self).map_or(Value::Unfit(Unfit::Range), |number| Value::Number(Some(number)))
    }
}

macro_rules! as_text {
    ($($type:ty),+) => {$(
        impl IntoValue for &$type {
            const NULL: Value = Value::Text(None);
            fn into_value(self) -> Value {
                Value::Text(Some(self.to_string()))
            }
        }
        impl IntoValue for $type {
            const NULL: Value = Value::Text(None);
            fn into_value(self) -> Value {
                (&self).into_value()
            }
        }
    )+};
}

as_text!(Amount, Currency, Digest, Grantable, Host, Name, Permission, Principal, Resource);

impl<K: Kind> IntoValue for Id<K> {
    const NULL: Value = Value::Text(None);
    fn into_value(self) -> Value {
        Value::Text(Some(self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_value_knows_its_type() {
        assert_eq!(None::<Timestamp>.into_value(), Value::Number(None));
        assert_eq!(None::<&str>.into_value(), Value::Text(None));
    }

    #[test]
    fn what_does_not_fit_is_not_cut() {
        assert_eq!(u64::MAX.into_value(), Value::Unfit(Unfit::Range));
    }
}
