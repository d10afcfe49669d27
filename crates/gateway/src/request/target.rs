//! What a request asks for, read in one way only, or refused.
//!
//! Two parties that read one request differently are how gates are passed: the first looks at one
//! host, method or path, and the second serves another. So everything is brought to one form here,
//! that form is what is decided about, and that form is what is sent on.

use std::net::{IpAddr, Ipv6Addr};

use api::{Kind, Problem, manifest};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts};
use types::Host;

/// Whose host is asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A bare address: the platform itself.
    Address,
    /// A name.
    Name(Host),
}

/// Longer than any method that is registered.
const METHOD_BYTES_MAX: usize = 32;

/// Whose host is asked. There is exactly one `Host`, and a target in absolute form agrees with it.
/// Afterwards the header has its one form.
pub(crate) fn host(head: &mut Parts) -> Result<Asked, Problem> {
    let text = only_host(&head.headers)?;
    if let Some(authority) = head.uri.authority() {
        let web = matches!(head.uri.scheme_str(), Some("http" | "https"));
        if !web || !authority.as_str().eq_ignore_ascii_case(text) {
            let detail =
                "the request's target and its `Host` header name different hosts: name only one";
            return Err(ambiguous("host_mismatch", detail));
        }
    }
    let unreadable = || ambiguous("host_unreadable", "the `Host` header is not a host name");
    let (name, port) = split(text).ok_or_else(unreadable)?;
    if is_address(name) {
        return Ok(Asked::Address);
    }
    // What is left of the port must not hold another one.
    let plain = Some(name).filter(|name| !name.contains(':')).ok_or_else(unreadable)?;
    let host = Host::from_header(plain).map_err(|_| unreadable())?;
    if host.as_str() != name {
        let value = port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let value = HeaderValue::try_from(value).map_err(|_| unreadable())?;
        head.headers.insert(header::HOST, value);
    }
    Ok(Asked::Name(host))
}

fn only_host(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| {
            ambiguous("host_unreadable", "the `Host` header has characters that no host has")
        }),
        (None, _) => Err(ambiguous("host_missing", "send a `Host` header")),
        (Some(_), Some(_)) => Err(ambiguous("host_twice", "send one `Host` header, not several")),
    }
}

/// Name and port; the port is a number.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let after_bracket = text.rfind(']').map_or(0, |place| place + 1);
    match text[after_bracket..].rfind(':') {
        None => Some((text, None)),
        Some(place) => {
            let (name, port) = text.split_at(after_bracket + place);
            let plain = port[1..].bytes().all(|byte| byte.is_ascii_digit());
            Some((name, Some(port[1..].parse().ok().filter(|_| plain)?)))
        }
    }
}

fn is_address(name: &str) -> bool {
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
        None => matches!(name.parse::<IpAddr>(), Ok(IpAddr::V4(_))),
    }
}

/// Refuses a body with two ends, or one that is wrapped in more than chunks.
pub(crate) fn framing(headers: &HeaderMap, has_two_ends: bool) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if plain && !has_two_ends {
        return Ok(());
    }
    let detail = "the body's length is given in more than one way: send either `Content-Length` \
                  or `Transfer-Encoding: chunked`";
    Err(ambiguous("framing_ambiguous", detail))
}

/// Refuses methods that could mean something else to somebody: those that ask a proxy and not the
/// application, and those in other letters, since an application may fold case.
pub(crate) fn method(method: &Method) -> Result<(), Problem> {
    let name = method.as_str();
    let plain = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    if plain && name.len() <= METHOD_BYTES_MAX && !matches!(name, "CONNECT" | "TRACE" | "TRACK") {
        return Ok(());
    }
    let detail = "methods are written in capital letters, and CONNECT and TRACE are not supported";
    Err(Problem::new(Kind::Invalid, "method_not_allowed", detail)
        .with_status(StatusCode::METHOD_NOT_ALLOWED))
}

/// The path in its one form, which is what is matched and what is sent on.
pub(crate) fn path(uri: &Uri) -> Result<String, Problem> {
    manifest::normalise(uri.path()).ok_or_else(|| {
        let detail = "the path could be read in more than one way: write it without escaped \
                      slashes, control characters and broken escapes";
        ambiguous("path_ambiguous", detail)
    })
}

fn ambiguous(code: &str, detail: &str) -> Problem {
    Problem::invalid(code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    fn head(target: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn asked(target: &str, hosts: &[&str]) -> Result<Asked, String> {
        host(&mut head(target, hosts)).map_err(|problem| problem.code)
    }

    #[test]
    fn a_host_has_one_form() {
        let name = |text: &str| Ok(Asked::Name(text.parse().unwrap()));
        assert_eq!(asked("/", &["Bakery.Localhost:8080"]), name("bakery.localhost"));
        assert_eq!(asked("/", &["bakery.localhost."]), name("bakery.localhost"));
        assert_eq!(asked("http://a.localhost/x", &["A.localhost"]), name("a.localhost"));
        for address in ["127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "10.0.0.1"] {
            assert_eq!(asked("/", &[address]), Ok(Asked::Address), "{address}");
        }
    }

    #[test]
    fn the_header_that_is_sent_on_has_that_form() {
        let mut parts = head("/", &["Bakery.LOCALHOST.:8080"]);
        host(&mut parts).unwrap();
        assert_eq!(parts.headers[header::HOST], "bakery.localhost:8080");
    }

    #[test]
    fn two_readings_of_a_host_are_refused() {
        let cases: [(&str, &[&str], &str); 12] = [
            ("/", &[], "host_missing"),
            ("/", &["a.localhost", "a.localhost"], "host_twice"),
            ("http://a.localhost/", &["b.localhost"], "host_mismatch"),
            ("http://a.localhost:80/", &["a.localhost"], "host_mismatch"),
            ("http://u@a.localhost/", &["a.localhost"], "host_mismatch"),
            ("ftp://a.localhost/", &["a.localhost"], "host_mismatch"),
            ("/", &["a.localhost:80:80"], "host_unreadable"),
            ("/", &["a.localhost:"], "host_unreadable"),
            ("/", &["a.localhost:99999"], "host_unreadable"),
            ("/", &["a.localhost/admin"], "host_unreadable"),
            ("/", &["u@a.localhost"], "host_unreadable"),
            ("/", &["::1"], "host_unreadable"),
        ];
        for (target, hosts, code) in cases {
            assert_eq!(asked(target, hosts), Err(code.to_owned()), "{target} {hosts:?}");
        }
    }

    #[test]
    fn methods_in_other_letters_are_refused() {
        let judged = |name: &str| method(&Method::from_bytes(name.as_bytes()).unwrap());
        let long = "A".repeat(33);
        for bad in ["get", "pOST", "CONNECT", "TRACE", "TRACK", "GET_", "X1", &long] {
            assert!(judged(bad).is_err(), "{bad}");
        }
        for good in ["GET", "OPTIONS", "PROPFIND", "MKCALENDAR", "VERSION-CONTROL", "PURGE"] {
            assert!(judged(good).is_ok(), "{good}");
        }
    }

    proptest! {
        /// What we match, sent to somebody who reads it again as a target, is still what we match.
        #[test]
        fn what_is_matched_is_what_is_seen(
            raw in "(/|%2e|%2E|\\.|%25|%61|;|:|@|[a-z%]|%c3%a9|%2f){0,30}"
        ) {
            let Ok(uri) = format!("/{raw}").parse::<Uri>() else { return Ok(()) };
            let Ok(matched) = path(&uri) else { return Ok(()) };
            let Ok(sent) = matched.parse::<Uri>() else { return Ok(()) };
            prop_assert_eq!(sent.path(), matched.as_str());
            prop_assert!(sent.authority().is_none());
            prop_assert_eq!(path(&sent).ok(), Some(matched));
        }

        #[test]
        fn no_host_panics(text in "\\PC{0,40}") {
            let _ = split(&text).map(|(name, _)| is_address(name));
        }
    }
}
