//! What a request asks to go on with on its connection (RFC 9110, 7.8).

use http::{HeaderMap, HeaderValue, Version, header, request::Parts};

/// How a `WebSocket` is asked for (RFC 6455).
pub(crate) const WEBSOCKET: &str = "websocket";

/// The protocols that are asked for, the best first; none where they were not asked for as they have
/// to be.
pub(crate) fn asked(head: &Parts) -> impl Iterator<Item = &str> {
    let is_asked = head.version == Version::HTTP_11
        && words(&head.headers, &header::CONNECTION)
            .any(|word| word.eq_ignore_ascii_case(header::UPGRADE.as_str()));
    words(&head.headers, &header::UPGRADE).filter(move |_| is_asked)
}

/// Whether an answer goes on with this one.
pub(crate) fn is_granted(headers: &HeaderMap, protocol: &str) -> bool {
    let mut granted = words(headers, &header::UPGRADE);
    granted.next().is_some_and(|it| it.eq_ignore_ascii_case(protocol)) && granted.next().is_none()
}

/// Says that the connection goes on with a protocol, or is to.
pub(crate) fn name(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol.clone());
}

fn words<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::headers_of;

    fn asked_by(lines: &[(&str, &str)], version: Version) -> Vec<String> {
        let mut head = http::Request::new(()).into_parts().0;
        (head.headers, head.version) = (headers_of(lines), version);
        asked(&head).map(str::to_owned).collect()
    }

    #[test]
    fn it_is_asked_for_in_both_headers_and_in_one_version() {
        let upgrade = ("upgrade", "h2c, WebSocket");
        let both = [upgrade, ("connection", "keep-alive, Upgrade")];
        assert_eq!(asked_by(&both, Version::HTTP_11), ["h2c", "WebSocket"]);
        assert!(asked_by(&both, Version::HTTP_10).is_empty());
        assert!(asked_by(&both, Version::HTTP_2).is_empty());
        assert!(asked_by(&[upgrade], Version::HTTP_11).is_empty());
        assert!(asked_by(&[upgrade, ("connection", "upgrades")], Version::HTTP_11).is_empty());
    }

    #[test]
    fn one_is_granted_and_it_is_the_one() {
        for (lines, is) in [
            (&[("upgrade", "WebSocket")][..], true),
            (&[("upgrade", "websocket, h2c")], false),
            (&[("upgrade", "websocket"), ("upgrade", "h2c")], false),
            (&[("upgrade", "h2c")], false),
            (&[], false),
        ] {
            assert_eq!(is_granted(&headers_of(lines), WEBSOCKET), is, "{lines:?}");
        }
    }
}
