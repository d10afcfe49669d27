//! Which hosts can be taken.

use types::Host;

use crate::Error;

/// Ends of names that no public name has (RFC 6761, 7686, 8375 and 9476, and what ICANN keeps for
/// private use). Clouds and networks answer below them with what is theirs.
const PRIVATE: [&str; 7] = ["alt", "arpa", "internal", "invalid", "local", "localhost", "onion"];

/// What is below the platform's domain is its own to give, but for the platform's hosts; anywhere
/// else it must be a name that the world can find.
pub(crate) fn check_host(host: &Host, domain: &str) -> Result<(), Error> {
    let text = host.as_str();
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Err(Error::HostIsAddress(host.clone()));
    }
    let below = text.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
    // Also what is below one of ours, since a cookie of ours would be sent there.
    let ours = |label: Option<&str>| label.is_some_and(|label| api::RESERVED.contains(&label));
    if text == domain || below.is_some_and(|below| ours(below.rsplit('.').next())) {
        return Err(Error::HostReserved(host.clone(), domain.to_owned()));
    }
    if below.is_some() || is_public(text) {
        return Ok(());
    }
    Err(Error::HostNotPublic(host.clone(), domain.to_owned()))
}

/// `com` is no host, and `0x7f.1` is an address: every public name ends with letters.
fn is_public(text: &str) -> bool {
    let Some((_, end)) = text.rsplit_once('.') else { return false };
    end.starts_with(|letter: char| letter.is_ascii_lowercase()) && !PRIVATE.contains(&end)
}

/// What lies above a host, the nearest first.
pub(crate) fn above(host: &Host) -> impl Iterator<Item = &str> {
    let parent = |name: &str| name.find('.').map(|dot| dot + 1);
    std::iter::successors(Some(host.as_str()), move |name| Some(&name[parent(name)?..])).skip(1)
}

/// `www.a.example` as `example.a.www.`: what lies below a host begins with its labels.
pub(crate) fn labels(host: &Host) -> String {
    host.as_str().rsplit('.').flat_map(|label| [label, "."]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_platforms_hosts_are_nobodys() {
        let check = |host: &str| check_host(&host.parse().unwrap(), "localhost");
        assert!(check("bakery.localhost").is_ok());
        assert!(check("shop.example.com").is_ok());
        assert!(check("localhost").is_err());
        assert!(check("api.localhost").is_err());
        assert!(check("console.localhost").is_err());
        assert!(check("x.api.localhost").is_err());
        assert!(check("api.bakery.localhost").is_ok());
        assert!(check("127.0.0.1").is_err());
    }

    #[test]
    fn what_the_world_cannot_find_is_nobodys() {
        let check = |host: &str| check_host(&host.parse().unwrap(), "cloud.example");
        for good in ["a.cloud.example", "bakery.com", "xn--bcker-gra.xn--p1ai"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for ours in ["cloud.example", "api.cloud.example", "x.console.cloud.example"] {
            assert!(matches!(check(ours), Err(Error::HostReserved(..))), "{ours}");
        }
        assert!(matches!(check("127.0.0.1"), Err(Error::HostIsAddress(_))));
        let bad =
            ["com", "2130706433", "0x7f.1", "127.1", "metadata.google.internal", "a.localhost"];
        for bad in bad {
            // Some are no hosts at all, which is as good.
            let refused =
                bad.parse().map_or(true, |host| check_host(&host, "cloud.example").is_err());
            assert!(refused, "{bad}");
        }
    }

    #[test]
    fn what_lies_below_a_host_begins_with_its_labels() {
        let of = |host: &str| labels(&host.parse().unwrap());
        assert_eq!(of("a.localhost"), "localhost.a.");
        assert!(of("x.a.localhost").starts_with(&of("a.localhost")));
        assert!(!of("aa.localhost").starts_with(&of("a.localhost")));
    }

    proptest! {
        #[test]
        fn hosts_lie_below_each_other_as_their_labels_do(
            one in "[a-c](\\.[a-c]){1,3}", other in "[a-c](\\.[a-c]){1,3}",
        ) {
            let (one, other): (Host, Host) = (one.parse().unwrap(), other.parse().unwrap());
            let is_above = above(&one).any(|name| name == other.as_str());
            prop_assert_eq!(is_above, one != other && labels(&one).starts_with(&labels(&other)));
        }
    }
}
