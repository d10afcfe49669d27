//! Whose host is it? The platform's, an instance's, or nobody's.

use std::sync::Arc;

use api::{Kind, Problem, configurator::Route};
use http::{Response, StatusCode, header, uri::PathAndQuery};
use tokio::time::Instant;
use types::Host;

use super::{stop::Stop, visit::Visit};
use crate::{
    render::{Body, see},
    request::target::{self, Asked},
    routes::hosts::Entered,
    state::State,
};

/// Where a request leads.
pub(crate) enum Destination {
    /// To the platform itself.
    Platform,
    /// To an instance, at a path in its one form.
    Instance {
        /// Which.
        route: Arc<Route>,
        /// The path.
        path: String,
        /// Since when its requests wait, if they do.
        held: Option<Instant>,
    },
}

pub(crate) fn resolve(state: &State, visit: &mut Visit) -> Result<Destination, Stop> {
    let asked = target::host(&mut visit.head)?;
    visit.trace.host = visit.head.headers.get(header::HOST).cloned();
    target::method(&visit.head.method)?;
    if let Asked::Name(host) = &asked
        && state.speaks_tls
        && !visit.is_https
    {
        return Err(by_https(state, visit, host).into());
    }
    let host = match asked {
        Asked::Address => return Ok(Destination::Platform),
        Asked::Name(host) if is_platform(&state.domain, &host) => return Ok(Destination::Platform),
        Asked::Name(host) => host,
    };
    let path = target::path(&visit.head.uri)?;
    match state.hosts.enter(&host) {
        Some(Entered { route, in_flight, held }) => {
            visit.in_flight = Some(in_flight);
            Ok(Destination::Instance { route, path, held })
        }
        None if state.hosts.are_fresh() => Err(unknown(&host).into()),
        None => Err(lost_contact().into()),
    }
}

/// Leads to the same address by HTTPS, with the same method and body (RFC 9110, 15.4.9).
fn by_https(state: &State, visit: &Visit, host: &Host) -> Response<Body> {
    let target = visit.head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let address = format!("{}{target}", state.site.origin(host));
    let mut response = see(&address);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response
}

fn is_platform(domain: &Host, host: &Host) -> bool {
    match host.as_str().strip_suffix(domain.as_str()) {
        Some(before) => matches!(before, "" | "console." | "api."),
        None => false,
    }
}

fn unknown(host: &Host) -> Problem {
    let detail = format!("there is no instance at `{host}`: check the spelling of the address");
    let problem =
        Problem::new(Kind::NotFound, "unknown_host", detail).with_status(StatusCode::NOT_FOUND);
    Problem { title: "Nothing lives here".into(), ..problem }
}

/// The answer of a gateway whose copy may be out of date.
pub(crate) fn lost_contact() -> Problem {
    let detail = "this gateway cannot be sure at the moment that the instance is open; try again";
    Problem { title: "Just a moment".into(), ..Problem::unavailable(detail, 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_has_three_names() {
        let domain: Host = "example.com".parse().unwrap();
        for (host, is) in [
            ("example.com", true),
            ("console.example.com", true),
            ("api.example.com", true),
            ("shop.example.com", false),
            ("a.api.example.com", false),
            ("badexample.com", false),
        ] {
            assert_eq!(is_platform(&domain, &host.parse().unwrap()), is, "{host}");
        }
    }
}
