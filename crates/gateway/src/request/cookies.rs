//! Cookies: which are ours, and how far an application's reach.
//!
//! Every name that begins with `mandate_` is ours: such a cookie is never sent on to an application
//! and never taken from one. What an application sets is for its own host and no other, so nothing
//! of it arrives at the platform's host or at a neighbour's.
//!
//! A script of a neighbouring host can still plant a cookie by a `Domain`. Where browsers come by
//! HTTPS our names begin with `__Host-`, which a browser lets nobody set for another host. Over
//! plain HTTP there may be several of one name: each is looked at, so that a planted one locks
//! nobody out, and of those that are good the session that was begun last counts.

use api::http::cookies;
use http::{HeaderMap, HeaderName, HeaderValue, header};

const PREFIX: &str = "mandate_";
const HOST_PREFIX: &str = "__Host-";
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ours {
    /// The session's token.
    Session,
    /// Binds the way through the console to the browser in which it began.
    Way,
    /// The set-up key, for the application's own set-up page.
    Setup,
}

impl Ours {
    fn name(self, is_https: bool) -> &'static str {
        match (self, is_https) {
            (Self::Session, false) => "mandate_session",
            (Self::Session, true) => "__Host-mandate_session",
            (Self::Way, false) => "mandate_way",
            (Self::Way, true) => "__Host-mandate_way",
            (Self::Setup, false) => "mandate_setup",
            (Self::Setup, true) => "__Host-mandate_setup",
        }
    }

    /// Every value that the browser sent under its name.
    pub(crate) fn values(self, headers: &HeaderMap, is_https: bool) -> impl Iterator<Item = &str> {
        let own = self.name(is_https);
        cookies(headers).filter_map(move |(name, value)| (name == own).then_some(value))
    }

    /// Sets it in the browser for so many seconds; none takes it back.
    pub(crate) fn set(self, headers: &mut HeaderMap, value: &str, seconds: u64, is_https: bool) {
        let (name, secure) = (self.name(is_https), if is_https { "; Secure" } else { "" });
        let text =
            format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        // What we put in is letters, digits and a few signs, so it always makes a header.
        if let Ok(mut value) = HeaderValue::try_from(text) {
            value.set_sensitive(true);
            headers.append(header::SET_COOKIE, value);
        }
    }
}

/// Whether a cookie, written as `name=value`, is one of ours. One without a name is sent back as
/// its value, which may begin with our name.
fn is_ours(cookie: &[u8]) -> bool {
    let text = cookie.trim_ascii_start();
    let text = text.strip_prefix(b"=").unwrap_or(text).trim_ascii_start();
    let text = strip_prefix(text, HOST_PREFIX).unwrap_or(text);
    strip_prefix(text, PREFIX).is_some()
}

fn strip_prefix<'a>(text: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

/// Takes our cookies out of what is sent on.
pub(crate) fn keep_ours(headers: &mut HeaderMap) {
    let parts = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b';').any(is_ours);
    let all = headers.get_all(header::COOKIE);
    // Several lines, as HTTP/2 has them, are one to an application (RFC 9113, 8.2.3).
    if all.iter().nth(1).is_none() && !all.iter().any(parts) {
        return;
    }
    let mut kept = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        for part in value.as_bytes().split(|byte| *byte == b';').filter(|part| !is_ours(part)) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(part.trim_ascii());
        }
    }
    headers.remove(header::COOKIE);
    if let (Ok(value), false) = (HeaderValue::from_bytes(&kept), kept.is_empty()) {
        headers.insert(header::COOKIE, value);
    }
}

/// An application must not sign its visitors in or out, nor write or clear anything at other hosts.
pub(crate) fn limit(headers: &mut HeaderMap) {
    let is_far = |value: &HeaderValue| is_ours(value.as_bytes()) || names_domain(value);
    if headers.get_all(header::SET_COOKIE).iter().any(is_far) {
        let all = headers.get_all(header::SET_COOKIE).iter();
        let kept: Vec<_> =
            all.filter(|value| !is_ours(value.as_bytes())).map(for_its_host).collect();
        headers.remove(header::SET_COOKIE);
        for value in kept {
            headers.append(header::SET_COOKIE, value);
        }
    }
    // To a browser the cookies of a site are those of all its hosts.
    let clears = |value: &HeaderValue| {
        let text = value.as_bytes().to_ascii_lowercase();
        text.windows(7).any(|part| part == b"cookies") || text.contains(&b'*')
    };
    if headers.get_all(CLEAR_SITE_DATA).iter().any(clears) {
        headers.remove(CLEAR_SITE_DATA);
    }
}

fn is_domain(attribute: &[u8]) -> bool {
    let name = attribute.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"domain")
}

fn names_domain(value: &HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b';').skip(1).any(is_domain)
}

fn for_its_host(value: &HeaderValue) -> HeaderValue {
    let parts = value.as_bytes().split(|byte| *byte == b';').enumerate();
    let kept = parts.filter(|(place, part)| *place == 0 || !is_domain(part));
    let kept: Vec<_> = kept.map(|(_, part)| part).collect();
    HeaderValue::from_bytes(&kept.join(&b';')).unwrap_or_else(|_| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::headers_of as headers;

    #[test]
    fn ours_stay_with_us() {
        let mut map = headers(&[
            ("cookie", "a=1; mandate_session=secret; b=2"),
            ("cookie", " mandate_session = other ;c=3; __Host-mandate_way=x"),
            ("cookie", "mandate_session"),
            ("cookie", "mandate_visit=y;=mandate_session=z"),
        ]);
        keep_ours(&mut map);
        assert_eq!(map["cookie"], "a=1; b=2; c=3");
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        keep_ours(&mut map);
        assert_eq!(map.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
        let mut map = headers(&[("cookie", "mandate_session=secret")]);
        keep_ours(&mut map);
        assert!(!map.contains_key("cookie"));
    }

    #[test]
    fn each_of_a_name_is_looked_at() {
        let lines = [
            ("cookie", "a=1; mandate_session=x"),
            ("cookie", "mandate_session=y; __Host-mandate_session=z"),
        ];
        let map = headers(&lines);
        assert_eq!(Ours::Session.values(&map, false).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(Ours::Session.values(&map, true).collect::<Vec<_>>(), ["z"]);
    }

    #[test]
    fn what_an_application_sets_is_for_its_host_and_not_in_our_name() {
        let mut map = headers(&[
            ("set-cookie", "own=1; Domain=example.com; Path=/"),
            ("set-cookie", "two=2; Path=/; DOMAIN = .example.com"),
            ("set-cookie", "domain=3; HttpOnly"),
            ("set-cookie", " mandate_session =x; Path=/"),
            ("set-cookie", "=mandate_session=y"),
            ("set-cookie", "__HOST-Mandate_session=y"),
            ("clear-site-data", "\"cache\", \"cookies\""),
        ]);
        limit(&mut map);
        let set: Vec<_> = map.get_all("set-cookie").iter().collect();
        assert_eq!(set, ["own=1; Path=/", "two=2; Path=/", "domain=3; HttpOnly"]);
        assert!(!map.contains_key("clear-site-data"));
        let mut map = headers(&[
            ("set-cookie", "own=1; domain=example.com"),
            ("clear-site-data", "\"cache\""),
        ]);
        limit(&mut map);
        assert_eq!(map["set-cookie"], "own=1");
        assert!(map.contains_key("clear-site-data"));
    }

    #[test]
    fn a_cookie_of_ours_is_for_this_host_alone() {
        let mut map = HeaderMap::new();
        Ours::Session.set(&mut map, "x", 60, true);
        let text = "__Host-mandate_session=x; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure";
        assert_eq!(map["set-cookie"], text);
    }
}
