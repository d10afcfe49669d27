//! Where browsers find what is served.

use crate::Host;

/// How browsers reach the platform and every instance: by which scheme and port. Only what stands
/// before the gateway may make it differ from where the gateway listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    is_https: bool,
    port: u16,
}

impl Site {
    /// Plain HTTP at a port.
    pub const fn http(port: u16) -> Self {
        Self { is_https: false, port }
    }

    /// HTTPS at a port.
    pub const fn https(port: u16) -> Self {
        Self { is_https: true, port }
    }

    /// Whether browsers come by HTTPS.
    pub const fn is_https(self) -> bool {
        self.is_https
    }

    /// The port.
    pub const fn port(self) -> u16 {
        self.port
    }

    /// `http` or `https`.
    pub const fn scheme(self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// What addresses at `host` begin with, without a final `/`.
    pub fn origin(self, host: &Host) -> String {
        format!("{}://{host}{}", self.scheme(), self.port_suffix())
    }

    /// `:8080`, or nothing where it goes without saying.
    pub fn port_suffix(self) -> String {
        let usual = if self.is_https { 443 } else { 80 };
        if self.port == usual { String::new() } else { format!(":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_goes_without_saying_is_not_said() {
        let host: Host = "shop.example.com".parse().unwrap();
        for (site, origin) in [
            (Site::http(80), "http://shop.example.com"),
            (Site::http(8080), "http://shop.example.com:8080"),
            (Site::http(443), "http://shop.example.com:443"),
            (Site::https(443), "https://shop.example.com"),
            (Site::https(8443), "https://shop.example.com:8443"),
        ] {
            assert_eq!(site.origin(&host), origin);
        }
    }
}
