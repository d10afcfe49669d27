//! What a request says, read in one way: its target, headers, cookies and body, and who sent it from
//! where. Nothing here knows of routes, endpoints or the other components.

pub(crate) mod body;
pub(crate) mod cookies;
pub(crate) mod headers;
pub(crate) mod pace;
pub(crate) mod page;
pub(crate) mod proxies;
pub(crate) mod target;
pub(crate) mod upgrade;
pub(crate) mod uploads;

#[cfg(test)]
fn headers_of(lines: &[(&str, &str)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in lines {
        map.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    map
}
