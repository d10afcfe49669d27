//! What a request says, read in one way: its target, headers, cookies and body, and who sent it from
//! where. Nothing here knows of routes, endpoints or the other components.

pub(crate) mod body;
pub(crate) mod cookies;
pub(crate) mod headers;
pub(crate) mod pace;
pub(crate) mod page;
pub(crate) mod proxies;
pub(crate) mod target;
pub(crate) mod uploads;
