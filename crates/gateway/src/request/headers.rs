//! Which headers pass.
//!
//! An application must be able to believe what we say in headers, so a client cannot say it: not
//! under the same name, not under one that becomes the same on the way (CGI, WSGI and PHP read
//! `_`, `.` and other signs as `-`, so only names without any pass), and not by naming our header
//! in `Connection`. Nor may it ask for another path or method than it was judged by.

use std::net::IpAddr;

use api::http::remove_hop_by_hop;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use types::Principal;

use super::cookies;

/// What a client cannot say: where it comes from, and that it asks for something else than it
/// seems to. `proxy` would become `HTTP_PROXY` in a CGI program's environment.
const REFUSED: [&str; 17] = [
    "forwarded",
    "via",
    "proxy",
    "expect",
    "trailer",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "x-request-id",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-original-host",
    "x-host",
    "x-http-method",
    "x-method-override",
];
const REFUSED_PREFIXES: [&str; 3] = ["x-mandate-", "x-forwarded", "x-http-method-"];

/// What an application is told by us.
pub(crate) struct Told<'a> {
    pub(crate) id: &'a HeaderValue,
    pub(crate) peer: IpAddr,
    pub(crate) is_https: bool,
    pub(crate) principal: &'a Principal,
}

/// Makes a request's headers fit to be sent on.
pub(crate) fn for_application(headers: &mut HeaderMap, told: &Told<'_>) {
    cookies::keep_ours(headers);
    for_platform(headers, told);
}

/// Makes a request's headers fit for the platform itself: it believes them too.
pub(crate) fn for_platform(headers: &mut HeaderMap, told: &Told<'_>) {
    remove_hop_by_hop(headers);
    let refused: Vec<HeaderName> =
        headers.keys().filter(|name| is_refused(name)).cloned().collect();
    for name in refused {
        headers.remove(name);
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    }
    insert(headers, "x-forwarded-proto", if told.is_https { "https" } else { "http" });
    insert(headers, "x-forwarded-for", &told.peer.to_canonical().to_string());
    headers.insert(HeaderName::from_static("x-request-id"), told.id.clone());
    if let Principal::User(user) = told.principal {
        insert(headers, "x-mandate-user", &user.to_string());
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn is_refused(name: &HeaderName) -> bool {
    let name = name.as_str();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.bytes().all(plain)
        || REFUSED.contains(&name)
        || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Makes an answer's headers fit to be sent back.
pub(crate) fn for_visitor(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // The length that stands beside it is not the length of anything (RFC 9112, 6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
    cookies::limit(headers);
}

/// Makes what stands behind an answer's body fit to be sent back. Nothing there may say anything of the
/// message itself, which has been passed on by then (RFC 9110, 6.5.1), or do what only a head may.
pub(crate) fn trailers_for_visitor(trailers: &mut HeaderMap) {
    for_visitor(trailers);
    for name in [header::SET_COOKIE, header::CONTENT_LENGTH, header::TRAILER] {
        trailers.remove(name);
    }
    trailers.remove("x-request-id");
}

/// Whether a page of this very origin sent the request, as far as its browser says. `None` if it
/// says nothing.
pub(crate) fn is_same_origin(headers: &HeaderMap, is_https: bool) -> Option<bool> {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => Some(value.to_str().unwrap_or("unreadable")),
            (Some(_), Some(_)) => Some("several"),
        }
    };
    let host = only("host").unwrap_or_default();
    let site = only("sec-fetch-site");
    if site == Some("same-origin") && only("origin") == Some("null") {
        // A page that tells nobody where it is (`Referrer-Policy: no-referrer`) does not say its
        // origin either, and no page can make its browser say the first.
        return Some(true);
    }
    // `none` is a person at the address line.
    let site = site.map(|site| matches!(site, "same-origin" | "none"));
    let origin = only("origin").map(|origin| {
        // A page that came in the clear may be anybody's.
        let plain = origin.strip_prefix("http://").filter(|_| !is_https);
        let rest = plain.or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    });
    match (site, origin) {
        (None, None) => None,
        (site, origin) => Some(site.unwrap_or(true) && origin.unwrap_or(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::headers_of as headers;
    use types::{Timestamp, UserId};

    fn sent_on(lines: &[(&str, &str)], principal: &Principal) -> HeaderMap {
        let mut map = headers(lines);
        let id = &HeaderValue::from_static("req_1");
        let peer = [192, 0, 2, 7].into();
        for_application(&mut map, &Told { id, peer, is_https: false, principal });
        map
    }

    #[test]
    fn nobody_speaks_in_our_name() {
        let user = UserId::new(Timestamp::from_micros(1));
        let lines = [
            ("host", "a.localhost"),
            ("connection", "x-mandate-user, X-Forwarded-For, host, x-own, close"),
            ("x-own", "1"),
            ("x-mandate-user", "user_root"),
            ("x_mandate_user", "user_root"),
            ("x.mandate.user", "user_root"),
            ("x-mandate.user", "user_root"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x-forwarded-server", "evil"),
            ("forwarded", "for=10.0.0.1"),
            ("x-http-method-override", "DELETE"),
            ("x.http.method.override", "DELETE"),
            ("x-original-url", "/admin"),
            ("x.original.url", "/admin"),
            ("proxy", "http://evil"),
            ("x-app", "kept"),
        ];
        let map = sent_on(&lines, &Principal::User(user));
        assert_eq!(map["x-mandate-user"], user.to_string());
        assert_eq!(map["x-forwarded-for"], "192.0.2.7");
        assert_eq!(map["x-forwarded-host"], "a.localhost");
        assert_eq!(map["host"], "a.localhost");
        assert_eq!(map["x-app"], "kept");
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "host",
            "x-app",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-mandate-user",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert!(!sent_on(&lines, &Principal::Visitor).contains_key("x-mandate-user"));
    }

    #[test]
    fn only_names_of_letters_digits_and_hyphens_pass() {
        for sign in "!#$%&'*+.^_`|~".chars() {
            let name = format!("x{sign}app");
            assert!(sent_on(&[(&name, "1")], &Principal::Visitor).get(&name).is_none(), "{name}");
        }
        assert_eq!(sent_on(&[("x-App-2", "1")], &Principal::Visitor)["x-app-2"], "1");
    }

    #[test]
    fn an_application_cannot_set_our_cookie() {
        let mut map = headers(&[
            ("set-cookie", "own=1"),
            ("set-cookie", " mandate_session =x; Path=/"),
            ("set-cookie", "mandate_session=y"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
        ]);
        for_visitor(&mut map);
        assert_eq!(map.len(), 1);
        assert_eq!(map["set-cookie"], "own=1");
    }

    #[test]
    fn a_neighbour_is_not_the_same_origin() {
        let from = |lines: &[(&str, &str)]| {
            let mut all = vec![("host", "a.localhost:8080")];
            all.extend_from_slice(lines);
            is_same_origin(&headers(&all), false)
        };
        assert_eq!(from(&[]), None);
        assert_eq!(from(&[("origin", "http://a.localhost:8080")]), Some(true));
        assert_eq!(from(&[("sec-fetch-site", "same-origin")]), Some(true));
        for bad in [
            "http://b.localhost:8080",
            "http://a.localhost",
            "null",
            "http://a.localhost:8080.evil",
        ] {
            assert_eq!(from(&[("origin", bad)]), Some(false), "{bad}");
        }
        for bad in ["same-site", "cross-site"] {
            assert_eq!(from(&[("sec-fetch-site", bad)]), Some(false), "{bad}");
        }
        let in_the_clear = [("host", "a.localhost"), ("origin", "http://a.localhost")];
        assert_eq!(is_same_origin(&headers(&in_the_clear), true), Some(false));
        let hidden = [("origin", "null"), ("sec-fetch-site", "same-origin")];
        assert_eq!(from(&hidden), Some(true));
        let sandboxed = [("origin", "null"), ("sec-fetch-site", "cross-site")];
        assert_eq!(from(&sandboxed), Some(false));
        let mixed = [("origin", "http://a.localhost:8080"), ("sec-fetch-site", "cross-site")];
        assert_eq!(from(&mixed), Some(false));
        let twice = [("origin", "http://a.localhost:8080"), ("origin", "http://evil")];
        assert_eq!(from(&twice), Some(false));
    }
}
