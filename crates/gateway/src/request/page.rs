//! The addresses of the gateway's own pages at an instance's host, below `/.mandate/`.

use api::manifest;
use types::JobId;

/// The field of the address that says where to go on.
pub(crate) const NEXT: &str = "next";
const NEXT_BYTES_MAX: usize = 1_024;

/// A page of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Setup,
    SignIn,
    Enter,
    SignOut,
    Job(JobId),
    Unknown,
}

/// Which page of our own a path is; `None` if it is the application's.
pub(crate) fn page_at(path: &str) -> Option<Page> {
    let below = path.strip_prefix("/.mandate")?;
    match below.trim_end_matches('/') {
        "/setup" => Some(Page::Setup),
        "/sign-in" => Some(Page::SignIn),
        "/enter" => Some(Page::Enter),
        "/sign-out" => Some(Page::SignOut),
        rest if rest.starts_with("/jobs/") => {
            Some(rest["/jobs/".len()..].parse().map_or(Page::Unknown, Page::Job))
        }
        rest if rest.is_empty() || rest.starts_with('/') => Some(Page::Unknown),
        _ => None,
    }
}

/// Where a job is looked at.
pub(crate) fn job_address(job: JobId) -> String {
    format!("/.mandate/jobs/{job}")
}

/// Where somebody who looks at `path` signs in.
pub(crate) fn sign_in_address(path: &str, query: Option<&str>) -> String {
    let next = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let next = serde_html_form::to_string([(NEXT, next)]).unwrap_or_default();
    format!("/.mandate/sign-in?{next}")
}

/// The address to go on to; only ever a path of this host.
pub(crate) fn next_of(text: Option<&str>) -> String {
    local(text.unwrap_or("/")).unwrap_or_else(|| "/".to_owned())
}

fn local(text: &str) -> Option<String> {
    if text.len() > NEXT_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (path, query) =
        text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    // The one form never begins with two slashes, which would name another host.
    let path = manifest::normalise(path).filter(|path| page_at(path).is_none())?;
    match query {
        None => Some(path),
        Some(query) if !query.contains(['#', '\\']) => Some(format!("{path}?{query}")),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_pages_are_below_one_folder() {
        assert_eq!(page_at("/.mandate/setup"), Some(Page::Setup));
        assert_eq!(page_at("/.mandate/setup/"), Some(Page::Setup));
        assert_eq!(page_at("/.mandate/sign-in"), Some(Page::SignIn));
        let job = JobId::named(&["a"]);
        assert_eq!(page_at(&job_address(job)), Some(Page::Job(job)));
        assert_eq!(page_at("/.mandate/jobs/x"), Some(Page::Unknown));
        assert_eq!(page_at("/.mandate"), Some(Page::Unknown));
        assert_eq!(page_at("/.mandate/x"), Some(Page::Unknown));
        assert_eq!(page_at("/.mandates"), None);
        assert_eq!(page_at("/x/.mandate/setup"), None);
    }

    #[test]
    fn one_is_led_on_within_the_host_only() {
        for good in ["/", "/admin", "/admin/?a=1&b=//x", "/a%20b"] {
            assert_eq!(next_of(Some(good)), good);
        }
        assert_eq!(next_of(Some("//evil.example/x")), "/evil.example/x");
        assert_eq!(next_of(Some("/a/../..//evil")), "/evil");
        let bad = [
            "",
            "http://evil.example",
            "https:/evil",
            "javascript:alert(1)",
            "\\\\evil",
            "/\\evil",
            "/%5cevil",
            "/a\r\nset-cookie: x",
            "/.mandate/sign-out",
            "/a b",
            "/a?b#c",
            "evil",
        ];
        for bad in bad {
            assert_eq!(next_of(Some(bad)), "/", "{bad}");
        }
    }

    #[test]
    fn the_way_back_reads_back() {
        let address = sign_in_address("/admin/orders", Some("page=2&x=%26"));
        let query = address.strip_prefix("/.mandate/sign-in?").unwrap();
        let fields: Vec<(String, String)> = serde_html_form::from_str(query).unwrap();
        assert_eq!(fields, [("next".to_owned(), "/admin/orders?page=2&x=%26".to_owned())]);
    }
}
