//! One request on its way.

use std::{net::IpAddr, time::Instant};

use http::{HeaderMap, HeaderValue, Method, header, request::Parts, uri::PathAndQuery};
use types::{RequestId, Timestamp};

use crate::{
    access_log::{Answered, Trace},
    render::Reader,
    routes::in_flight::InFlight,
};

/// What goes along with a request through the phases.
pub(crate) struct Visit {
    /// The request's id, made by us.
    pub(crate) id: RequestId,
    /// The same, as it stands in headers.
    pub(crate) id_text: HeaderValue,
    /// Whose request it is, as far as can be told.
    pub(crate) peer: IpAddr,
    /// Whether the browser came by HTTPS.
    pub(crate) is_https: bool,
    /// When its head had been read, for measuring.
    pub(crate) began: Instant,
    /// When its head had been read, for people and bills.
    pub(crate) at: Timestamp,
    /// Whether whoever asks may set the instance up at the application's own page.
    pub(crate) sets_up: bool,
    /// Whether a person looks at the answer.
    pub(crate) wants_page: bool,
    /// What counts it among those of its instance that are under way.
    pub(crate) in_flight: Option<InFlight>,
    /// What becomes of it, for the access log.
    pub(crate) trace: Trace,
    /// Its head; the headers are as they are sent on from then on.
    pub(crate) head: Parts,
}

impl Visit {
    /// A request that has just been read.
    pub(crate) fn new(peer: IpAddr, is_https: bool, at: Timestamp, head: Parts) -> Self {
        let (id, began) = (RequestId::new(at), Instant::now());
        let id_text = HeaderValue::try_from(id.to_string()).expect("letters, digits and a `_`");
        let (sets_up, wants_page) = (false, wants_page(&head.headers));
        let (in_flight, trace) = (None, Trace::default());
        Self { id, id_text, peer, is_https, began, at, sets_up, wants_page, in_flight, trace, head }
    }

    /// As it is written down once it is answered with this status.
    pub(crate) fn answered(
        self,
        target: Option<PathAndQuery>,
        method: Method,
        status: u16,
    ) -> Answered {
        let Self { id, at, began, peer, is_https, trace, head, .. } = self;
        let version = head.version;
        Answered { id, at, began, peer, is_https, version, method, target, status, trace }
    }

    /// Who reads what is answered; the console is at `console`.
    pub(crate) fn reader<'a>(&self, console: &'a str) -> Reader<'a> {
        Reader { request: self.id, wants_page: self.wants_page, console }
    }

    /// Whether the method says that nothing is changed, and nothing can be changed afterwards either.
    pub(crate) fn is_safe(&self) -> bool {
        matches!(self.head.method, Method::GET | Method::HEAD | Method::OPTIONS)
            && !self.head.headers.contains_key(header::UPGRADE)
    }

    /// Whether a browser shows what is answered and could be led elsewhere.
    pub(crate) fn is_look(&self) -> bool {
        matches!(self.head.method, Method::GET | Method::HEAD) && self.wants_page
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    let mut accepted =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/html"))
}
