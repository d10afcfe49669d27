//! Lists, part by part.

use serde::Deserialize;

/// Which part of a list is asked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Paging {
    pub(crate) after: Option<String>,
}

/// How many rows a page of a list shows.
pub(crate) const ROWS: Option<u32> = Some(50);
/// As many as can be asked for at once: for lists to choose from.
pub(crate) const ALL: Option<u32> = Some(500);
