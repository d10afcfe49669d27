//! The one form of a request's path, so that what is authorised is what the application sees.

use std::fmt::Write;

/// The most bytes of a path.
const MAX_PATH: usize = 8 * 1024;

/// Brings the path of a request (without its query) to its one form, or refuses it with `None`.
///
/// The gateway matches and forwards this form and never the raw one. Escapes of unreserved
/// characters (RFC 3986, 2.3) are decoded, once; other escapes get upper-case digits; `//` becomes
/// `/`; `.` and `..` are resolved, `..` stopping at the root. A final `/` stays, since applications
/// redirect to it. The form of a form is itself.
///
/// Refused is what an application might read otherwise than we do: an escaped `/`, `\` or control
/// character, a raw `\`, an escape that is not two hexadecimal digits or not UTF-8 (such as an
/// overlong `/`), a segment that is nothing or dots before a `;` (`..;` is `..` to some servers),
/// anything that may not stand in a path, and more than 8 KiB.
pub fn normalise(raw_path: &str) -> Option<String> {
    if !raw_path.starts_with('/') || raw_path.len() > MAX_PATH {
        return None;
    }
    let decoded = decode(raw_path)?;
    let mut segments: Vec<&str> = Vec::new();
    let mut closed = false;
    for segment in decoded.split('/') {
        closed = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ if hides_dots(segment) => return None,
            _ => segments.push(segment),
        }
    }
    let end = if closed && !segments.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", segments.join("/")))
}

fn hides_dots(segment: &str) -> bool {
    let parted = segment.split_once(';').or_else(|| segment.split_once("%3B"));
    parted.is_some_and(|(head, _)| matches!(head, "" | "." | ".."))
}

/// Decodes what may be decoded; the bytes that the escapes stand for must be UTF-8.
fn decode(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut meant = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'?' | b'#') {
                return None;
            }
            text.push(char::from(byte));
            meant.push(byte);
            continue;
        }
        let byte = hex(bytes.next()?)? << 4 | hex(bytes.next()?)?;
        if byte.is_ascii_control() || matches!(byte, b'/' | b'\\') {
            return None;
        }
        meant.push(byte);
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").ok()?;
        }
    }
    std::str::from_utf8(&meant).ok().map(|_| text)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_has_one_form() {
        let cases = [
            ("/", "/"),
            ("//", "/"),
            ("/users", "/users"),
            ("/users/", "/users/"),
            ("//users//", "/users/"),
            ("/%75sers", "/users"),
            ("/a/./b", "/a/b"),
            ("/a/../users", "/users"),
            ("/a/%2e%2E/users", "/users"),
            ("/../../users", "/users"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/100%25", "/100%25"),
            ("/%252e%252e/x", "/%252e%252e/x"),
            ("/.../x", "/.../x"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/a%3Bv", "/a%3Bv"),
        ];
        for (raw, form) in cases {
            assert_eq!(normalise(raw).as_deref(), Some(form), "{raw}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let long = format!("/{}", "a".repeat(MAX_PATH));
        let bad = [
            "",
            "users",
            "*",
            "http://host/users",
            "/a%2Fb",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0a",
            "/a%7f",
            "/%",
            "/%4",
            "/%zz",
            "/%+1",
            "/a b",
            "/ä",
            "/a\tb",
            "/a?b",
            "/a#b",
            "/%c0%af",
            "/%ff",
            "/public/..;/users",
            "/.;/users",
            "/;x/users",
            "/..;x=1",
            "/public/..%3b/users",
            "/%3Bx/users",
            &long,
        ];
        for raw in bad {
            assert_eq!(normalise(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(raw in "(/|%2e|%2E|\\.|%25|%61|;|[a-z%]|%c3%a9){0,40}") {
            if let Some(form) = normalise(&format!("/{raw}")) {
                prop_assert_eq!(normalise(&form), Some(form.clone()));
                prop_assert!(form.starts_with('/') && !form.contains("//"));
                prop_assert!(!form.split('/').any(|segment| segment == ".." || segment == "."));
            }
        }

        #[test]
        fn no_text_panics(raw in "\\PC{0,60}") {
            if let Some(form) = normalise(&raw) {
                prop_assert_eq!(normalise(&form), Some(form));
            }
        }
    }
}
