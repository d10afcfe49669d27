//! A row that was read, by its columns' names.

use serde::de::DeserializeOwned;
use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};
use types::{
    Amount, Currency, Digest, Grantable, Host, Id, Kind, Name, Permission, Principal, Resource,
    Timestamp,
};

use crate::Error;

/// A row of a result.
pub struct Row(pub(crate) Found);

pub(crate) enum Found {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// What the column `name` holds.
    pub fn get<T: Column>(&self, name: &str) -> Result<T, Error> {
        T::read(self, name)
    }

    /// What the document in the column `name` says.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        let text: String = self.get(name)?;
        serde_json::from_str(&text).map_err(|cause| Error::encode(name, cause))
    }
}

/// What a column can be read as.
pub trait Column: Sized {
    /// The value, or nothing where the column is null.
    fn read_optional(row: &Row, name: &str) -> Result<Option<Self>, Error>;

    /// The value, which must be there.
    fn read(row: &Row, name: &str) -> Result<Self, Error> {
        Self::read_optional(row, name)?.ok_or_else(|| Error::encode(name, "it is null"))
    }
}

impl<T: Column> Column for Option<T> {
    fn read_optional(row: &Row, name: &str) -> Result<Option<Self>, Error> {
        T::read_optional(row, name).map(Some)
    }
}

macro_rules! native {
    ($($type:ty),+) => {$(
        impl Column for $type {
            fn read_optional(row: &Row, name: &str) -> Result<Option<Self>, Error> {
                Ok(match &row.0 {
                    Found::Sqlite(row) => row.try_get(name)?,
                    Found::Postgres(row) => row.try_get(name)?,
                })
            }
        }
    )+};
}

native!(String, i64, bool, Vec<u8>);

macro_rules! whole {
    ($($type:ty),+) => {$(
        impl Column for $type {
            fn read_optional(row: &Row, name: &str) -> Result<Option<Self>, Error> {
                let number = i64::read_optional(row, name)?;
                let fitting = number.map(Self::try_from).transpose();
                fitting.map_err(|cause| Error::encode(name, cause))
            }
        }
    )+};
}

whole!(u64, u32, u16, i32);

impl Column for Timestamp {
    fn read_optional(row: &Row, name: &str) -> Result<Option<Self>, Error> {
        Ok(i64::read_optional(row, name)?.map(Self::from_micros))
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &Row,
    name: &str,
) -> Result<Option<T>, Error> {
    let text = String::read_optional(row, name)?;
    let value = text.map(|text| text.parse()).transpose();
    value.map_err(|cause| Error::encode(name, cause))
}

macro_rules! as_text {
    ($($type:ty),+) => {$(
        impl Column for $type {
            fn read_optional(row: &Row, name: &str) -> Result<Option<Self>, Error> {
                parsed(row, name)
            }
        }
    )+};
}

as_text!(Amount, Currency, Digest, Grantable, Host, Name, Permission, Principal, Resource);

impl<K: Kind> Column for Id<K> {
    fn read_optional(row: &Row, name: &str) -> Result<Option<Self>, Error> {
        parsed(row, name)
    }
}
