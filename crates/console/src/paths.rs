//! Where pages are. Everything of a customer is below `/accounts/{account}`, whoever looks at it.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use types::{AccountId, InstanceId, OrderId};

/// What RFC 3986 leaves unescaped everywhere.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const LOCAL_LENGTH_MAX: usize = 2_000;

/// The sign-in, from which one comes back to `next`.
pub(crate) fn sign_in(next: &str) -> String {
    if next == "/" { "/sign-in".into() } else { with_query("/sign-in", &[("next", next)]) }
}

/// A page of an account: `instances`, `orders`, `bill`, `users`, `audit`.
pub(crate) fn of(account: AccountId, page: &str) -> String {
    format!("/accounts/{account}/{page}")
}

/// An instance.
pub(crate) fn instance(account: AccountId, instance: InstanceId) -> String {
    format!("/accounts/{account}/instances/{instance}")
}

/// An order.
pub(crate) fn order(account: AccountId, order: OrderId) -> String {
    format!("/accounts/{account}/orders/{order}")
}

/// Why a line of a bill is what it is.
pub(crate) fn line(account: AccountId, line: &str, month: &str) -> String {
    let line = utf8_percent_encode(line, ESCAPED);
    with_query(&format!("/accounts/{account}/bill/lines/{line}"), &[("month", month)])
}

/// A path with a query.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut target = path.to_owned();
    for (place, (name, value)) in pairs.iter().enumerate() {
        let mark = if place == 0 { '?' } else { '&' };
        // Writing to a string cannot fail.
        let _ = write!(target, "{mark}{name}={}", utf8_percent_encode(value, ESCAPED));
    }
    target
}

/// `next` if it is a path of this very host, and the start otherwise. Browsers read `//` and `\`
/// as the beginning of another host and drop tabs and line ends, so none of these may be in it.
pub(crate) fn local(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let here = next.starts_with('/') && !next.starts_with("//");
    if plain && here && next.len() <= LOCAL_LENGTH_MAX { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_host_are_local() {
        for good in ["/", "/catalogue/forum?plan=basic", "/accounts/a/bill?month=2026-11#top"] {
            assert_eq!(local(good), good);
        }
        let long = format!("/{}", "a".repeat(2_100));
        for bad in [
            "",
            "evil.com",
            "//evil.com",
            "/\\evil.com",
            "\\\\evil.com",
            "/\t/evil.com",
            "/a\\b",
            "https://evil.com",
            "javascript:alert(1)",
            "/a\r\nset-cookie: b=c",
            "/ü",
            " /",
            &long,
        ] {
            assert_eq!(local(bad), "/", "{bad}");
        }
    }

    #[test]
    fn what_is_in_a_query_stays_there() {
        assert_eq!(with_query("/a", &[("b", "c&d=e#f"), ("g", "/")]), "/a?b=c%26d%3De%23f&g=%2F");
    }
}
