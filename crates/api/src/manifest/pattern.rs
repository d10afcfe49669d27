//! Which requests are meant: a method and a path in which `*` stands for anything.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use types::as_text;

use super::{faults::shown, path::normalise};

/// The methods that a pattern may name: those registered with IANA (RFC 9110, 16.1.1), so that a
/// slip of the pen is none, except what no application is asked. `HEAD` is asked as `GET`.
const METHODS: [&str; 35] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "DELETE",
    "GET",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "VERSION-CONTROL",
];

/// Why a text is not a pattern or a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a method.
    #[error(
        "`{0}` is not a method: write `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`, another \
         registered one such as `PROPFIND`, or `*` for every method"
    )]
    Method(String),
    /// HEAD.
    #[error("`HEAD` is asked as `GET`: write `GET`")]
    Head,
    /// Not a path.
    #[error(
        "`{0}` is not a pattern of a path: write plain segments or `*`, such as `/topics/*/posts`"
    )]
    Path(String),
    /// Not a status.
    #[error("`{0}` is not a status: write a class such as `2xx` or a number such as `201`")]
    Status(String),
}

/// Which requests are meant: `POST /topics/*/posts`, or for any method `* /polls` or `/polls`.
///
/// A segment `*` is exactly one segment; a last `*` is one or more, and `/*` alone also the root.
/// A final `/` and what follows a `;` in a segment make no difference, since to many applications
/// they make none. Upper and lower case differ where a pattern opens something
/// ([`matches`](Pattern::matches)), and not where it closes something ([`covers`](Pattern::covers)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    method: Option<String>,
    segments: Vec<String>,
}

impl Pattern {
    /// The method; any if absent.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// Whether a request is meant. `path` must come from [`normalise`](super::normalise).
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.has_method(method) && self.fits(path, same)
    }

    /// Whether a request is meant by an application that cares neither about upper and lower case
    /// nor about which characters are escaped.
    pub fn covers(&self, method: &str, path: &str) -> bool {
        self.has_method(method) && self.covers_path(path)
    }

    /// Whether a path is meant, whatever the method.
    pub fn matches_path(&self, path: &str) -> bool {
        self.fits(path, same)
    }

    /// Whether a path is meant as [`covers`](Pattern::covers) says, whatever the method.
    pub fn covers_path(&self, path: &str) -> bool {
        self.fits(path, alike)
    }

    fn has_method(&self, method: &str) -> bool {
        let asked = if method == "HEAD" { "GET" } else { method };
        self.method.as_deref().is_none_or(|method| method == asked)
    }

    fn fits(&self, path: &str, is: fn(&str, &str) -> bool) -> bool {
        let mut asked = path.split('/').filter(|segment| !segment.is_empty());
        let Some((last, first)) = self.segments.split_last() else {
            return asked.next().is_none();
        };
        let meets = |segment: &String, asked: Option<&str>| {
            asked.is_some_and(|asked| segment == "*" || is(segment, asked))
        };
        if !first.iter().all(|segment| meets(segment, asked.next())) {
            return false;
        }
        let everything = first.is_empty() && last == "*";
        let rest = asked.next();
        (everything && rest.is_none())
            || (meets(last, rest) && (last == "*" || asked.next().is_none()))
    }
}

/// What follows a `;` belongs to no name.
fn same(own: &str, asked: &str) -> bool {
    asked.split(';').next() == Some(own)
}

/// Whether two segments could be one to somebody.
fn alike(own: &str, asked: &str) -> bool {
    let is_plain = |segment: &str| !segment.contains(['%', ';']);
    own.eq_ignore_ascii_case(asked)
        || !(is_plain(own) && is_plain(asked)) && folded(own) == folded(asked)
}

fn folded(segment: &str) -> String {
    let text = percent_decode_str(segment).decode_utf8_lossy();
    let name = text.split(';').next().unwrap_or_default();
    // There and back: some letters have a second small form, such as `ſ` of `s`.
    name.to_uppercase().to_lowercase()
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (method, path) = text.split_once(' ').unwrap_or(("*", text));
        let method = match method {
            "*" => None,
            "HEAD" => return Err(PatternError::Head),
            method if METHODS.contains(&method) => Some(method.to_owned()),
            _ => return Err(PatternError::Method(shown(method))),
        };
        let path = path.trim_start_matches(' ');
        let form = normalise(path).filter(|form| form == path && !form.contains(';'));
        let segments: Vec<String> = form
            .iter()
            .flat_map(|form| form.split('/'))
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect();
        let partial = segments.iter().any(|segment| segment != "*" && segment.contains('*'));
        if form.is_none() || partial || text.len() > 500 {
            return Err(PatternError::Path(shown(path)));
        }
        Ok(Self { method, segments })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        write!(f, "/{}", self.segments.join("/"))
    }
}

/// Which answers are meant: a class such as `2xx` or one number such as `201`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Status {
    /// All of a hundred; 2 for `2xx`.
    Class(u16),
    /// One.
    Code(u16),
}

impl Status {
    /// Whether an answer with that status is meant.
    pub const fn matches(self, status: u16) -> bool {
        match self {
            Self::Class(class) => status / 100 == class,
            Self::Code(code) => status == code,
        }
    }
}

impl FromStr for Status {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let digit = |byte: &u8| u16::from(byte - b'0');
        match text.as_bytes() {
            [class @ b'1'..=b'5', b'x', b'x'] => Ok(Self::Class(digit(class))),
            [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                Ok(Self::Code(digit(a) * 100 + digit(b) * 10 + digit(c)))
            }
            _ => Err(PatternError::Status(shown(text))),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "{class}xx"),
            Self::Code(code) => write!(f, "{code}"),
        }
    }
}

as_text!(Pattern, PatternError, "^([A-Z]+(-[A-Z]+)? )?/[^ ?#]*$");
as_text!(Status, PatternError, "^[1-5](xx|[0-9]{2})$");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_is_one_segment_and_a_last_star_one_or_more() {
        let cases = [
            ("GET /*", "GET", "/", true),
            ("GET /*", "GET", "/a/b/", true),
            ("GET /*", "HEAD", "/a", true),
            ("GET /*", "POST", "/a", false),
            ("* /*", "PURGE", "/a", true),
            ("PROPFIND /*", "PROPFIND", "/a", true),
            ("PROPFIND /*", "GET", "/a", false),
            ("VERSION-CONTROL /a", "VERSION-CONTROL", "/a", true),
            ("/polls", "DELETE", "/polls", true),
            ("/polls", "GET", "/polls/", true),
            ("/polls", "GET", "/polls/1", false),
            ("/polls", "GET", "/pollster", false),
            ("/polls", "GET", "/Polls", false),
            ("/polls", "GET", "/polls;x=1", true),
            ("/polls/*", "GET", "/polls", false),
            ("/polls/*", "GET", "/polls/", false),
            ("/polls/*", "GET", "/polls/1", true),
            ("/polls/*", "GET", "/polls/1/votes/2", true),
            ("POST /topics/*/posts", "POST", "/topics/7/posts", true),
            ("POST /topics/*/posts", "POST", "/topics/7/8/posts", false),
            ("POST /topics/*/posts", "POST", "/topics/posts", false),
            ("POST /topics/*/posts", "POST", "/topics/7/posts/9", false),
            ("GET /", "GET", "/", true),
            ("GET /", "GET", "/a", false),
        ];
        for (text, method, path, expected) in cases {
            assert_eq!(pattern(text).matches(method, path), expected, "{text} of {method} {path}");
        }
    }

    #[test]
    fn what_closes_is_matched_however_it_is_spelled() {
        let cases = [
            ("/polls", "/Polls", true),
            ("/polls", "/POLLS/", true),
            ("/Polls", "/polls;v=1", true),
            ("/polls", "/pollster", false),
            ("/polls/*", "/POLLS/1", true),
            ("/polls/*", "/polls", false),
            ("/c++", "/C%2B%2b", true),
            ("/a", "/a%3Bb", true),
            ("/caf%C3%A9", "/CAF%C3%89", true),
            ("/users", "/u%C5%BFers", true),
            ("/*/posts", "/x/Posts", true),
        ];
        for (text, path, expected) in cases {
            assert_eq!(pattern(text).covers("GET", path), expected, "{text} of {path}");
        }
        assert!(!pattern("POST /polls").covers("GET", "/polls"));
    }

    #[test]
    fn what_is_not_a_pattern_is_refused() {
        let bad = [
            "",
            "GET",
            "GET users",
            "PSOT /users",
            "get /users",
            "HEAD /users",
            "CONNECT /users",
            "TRACE /users",
            "propfind /users",
            "GET  ",
            "GET /a b",
            "GET /a*",
            "GET /a/../b",
            "GET //a",
            "GET /%61",
            "GET /a?b=c",
            "GET /a;b",
            "/a\n",
            "GET /ä",
        ];
        for text in bad {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
        assert_eq!(pattern("* /a/").to_string(), "/a");
    }

    #[test]
    fn a_status_is_a_class_or_a_number() {
        assert!("2xx".parse::<Status>().unwrap().matches(204));
        assert!(!"2xx".parse::<Status>().unwrap().matches(302));
        assert!("201".parse::<Status>().unwrap().matches(201));
        assert!(!"201".parse::<Status>().unwrap().matches(200));
        for bad in [
            "", "x", "xx", "2x", "2", "20", "6xx", "0xx", "22xx", "099", "600", "+20", "2XX",
            "2012", "201xx",
        ] {
            assert!(bad.parse::<Status>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in "((GET|POST|\\*) )?(/([a-z]{1,4}|\\*)){0,5}/?") {
            if let Ok(read) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern(&read.to_string()), read);
            }
        }

        #[test]
        fn without_a_star_only_the_path_itself_is_meant(
            own in "(/[ab.]{1,3}){0,3}", asked in "(/[ab.]{1,3}){0,3}",
        ) {
            let own = normalise(&format!("{own}/")).unwrap();
            let asked = normalise(&format!("{asked}/")).unwrap();
            let meant = pattern(&format!("GET {own}")).matches("GET", &asked);
            prop_assert_eq!(meant, own == asked);
        }

        #[test]
        fn what_matches_is_covered(own in "(/([ab]{1,2}|\\*)){1,3}", asked in "(/[aAb;%4]{1,4}){1,3}/?") {
            if let Some(asked) = normalise(&asked) {
                let own = pattern(&own);
                prop_assert!(!own.matches_path(&asked) || own.covers_path(&asked));
            }
        }

        #[test]
        fn everything_is_under_the_root(path in "(/[a-z;%.]{0,5}){0,5}") {
            if let Some(path) = normalise(&path) {
                prop_assert!(pattern("* /*").matches("GET", &path));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            drop(text.parse::<Pattern>());
            drop(text.parse::<Status>());
        }
    }
}
