//! Lists come in pages, by key and never by offset.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// What is on this page, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The largest number of items on a page.
    pub const LIMIT_MAX: u32 = 500;

    /// Makes a page of `items` that were read with a limit of one more than `cursor` allows; the
    /// extra one proves that there is a next page, which begins after the last one kept.
    pub fn cut(mut items: Vec<T>, cursor: &Cursor, key: impl Fn(&T) -> String) -> Self {
        let limit = cursor.limit() as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}

/// Which page of a list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cursor {
    /// The `next` of the page before; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many items at most, 1 to 500; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Cursor {
    /// How many items the page may hold.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(100).clamp(1, Page::<()>::LIMIT_MAX)
    }

    /// How many rows to read: one more than fits, to see whether there is a next page.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit()) + 1
    }

    /// The key to read after; empty, which sorts before every key, for the first page.
    pub fn key(&self) -> &str {
        self.after.as_deref().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extra_row_proves_the_next_page() {
        let cursor = Cursor { after: None, limit: Some(2) };
        let page = Page::cut(vec!["a", "b", "c"], &cursor, ToString::to_string);
        assert_eq!(page, Page { items: vec!["a", "b"], next: Some("b".into()) });
        let last = Page::cut(vec!["a", "b"], &cursor, ToString::to_string);
        assert_eq!(last.next, None);
    }
}
