//! What stands in front of us, and what is believed of what it says.
//!
//! Whoever ends TLS for us tells who is connected and how, in `X-Forwarded-For` and
//! `X-Forwarded-Proto`. Anybody can write these, so they count only from the addresses that the
//! operator named.

use std::{net::IpAddr, sync::Arc};

use http::HeaderMap;
use ipnet::IpNet;

/// The addresses that are believed. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Proxies(Arc<[IpNet]>);

/// Where a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whence {
    /// The visitor's address.
    pub(crate) address: IpAddr,
    /// Whether the visitor's browser speaks HTTPS, if that was said.
    pub(crate) is_https: Option<bool>,
}

impl Proxies {
    pub(crate) fn new(trusted: &[IpNet]) -> Self {
        Self(trusted.into())
    }

    /// Whether what comes from there is believed.
    pub(crate) fn include(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Where a request comes from that `peer` sent: the last address that no trusted proxy has.
    pub(crate) fn whence(&self, peer: IpAddr, headers: &HeaderMap) -> Whence {
        let peer = peer.to_canonical();
        if !self.include(peer) {
            return Whence { address: peer, is_https: None };
        }
        let mut address = peer;
        for said in backwards(headers, "x-forwarded-for") {
            let Some(before) = address_of(said) else { break };
            address = before;
            if !self.include(address) {
                break;
            }
        }
        let is_https = match backwards(headers, "x-forwarded-proto").next() {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => Some(true),
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => Some(false),
            _ => None,
        };
        Whence { address, is_https }
    }
}

/// The parts of a header in which each proxy adds one at the end, the last one first.
fn backwards<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    let texts = lines.into_iter().rev().map(|line| line.to_str().unwrap_or_default());
    texts.flat_map(|text| text.rsplit(',')).map(str::trim)
}

/// An address, perhaps with a port: `192.0.2.1:80`, `[2001:db8::1]:80`.
fn address_of(text: &str) -> Option<IpAddr> {
    let plain = text.trim_start_matches('[').split(']').next().unwrap_or_default();
    let address = plain.parse().ok().or_else(|| {
        let socket: std::net::SocketAddr = text.parse().ok()?;
        Some(socket.ip())
    });
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whence(peer: &str, lines: &[(&'static str, &str)]) -> (String, Option<bool>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let nets = ["10.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap());
        let whence = Proxies::new(&nets).whence(peer.parse().unwrap(), &headers);
        (whence.address.to_string(), whence.is_https)
    }

    #[test]
    fn only_what_a_trusted_proxy_says_is_believed() {
        let said = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")];
        for proxy in ["10.1.2.3", "::ffff:10.1.2.3", "::1"] {
            assert_eq!(whence(proxy, &said), ("192.0.2.7".into(), Some(true)), "{proxy}");
        }
        assert_eq!(whence("192.0.2.1", &said), ("192.0.2.1".into(), None));
        assert_eq!(whence("10.0.0.1", &[]), ("10.0.0.1".into(), None));
    }

    #[test]
    fn what_a_visitor_wrote_before_the_proxies_is_not() {
        let client = |lines: &[&'static str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            whence("10.0.0.1", &lines).0
        };
        assert_eq!(client(&["6.6.6.6, 192.0.2.7, 10.0.0.2"]), "192.0.2.7");
        assert_eq!(client(&["6.6.6.6", "192.0.2.7"]), "192.0.2.7");
        assert_eq!(client(&["6.6.6.6, nonsense, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client(&["192.0.2.7:4711"]), "192.0.2.7");
        assert_eq!(client(&["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client(&["2001:db8::1"]), "2001:db8::1");
        let twice = [("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")];
        assert_eq!(whence("10.0.0.1", &twice).1, Some(false));
    }
}
