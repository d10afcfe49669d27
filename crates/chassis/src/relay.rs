//! Passing requests on to another process of the platform, bodies flowing through.

use std::time::Duration;

use api::{
    Problem,
    http::{Connections, remove_hop_by_hop},
};
use axum::{body::Body, extract::Request, response::Response};
use http::{Uri, uri::PathAndQuery};
use hyper_util::client::legacy::connect::HttpConnector;

use crate::problem_response;

/// A feed may keep an answer waiting for 5 s and a package takes its time.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

/// The way to one other process.
pub struct Relay {
    base: String,
    connections: Connections<HttpConnector, Body>,
}

impl Relay {
    /// The way to the process at the base address `url`.
    pub fn new(url: &str) -> Self {
        let connections = Connections::new(HttpConnector::new());
        Self { base: url.trim_end_matches('/').to_owned(), connections }
    }

    /// Has the process answer, with the `Host` that was asked for.
    pub async fn pass(&self, request: Request) -> Response {
        self.try_pass(request).await.unwrap_or_else(problem_response)
    }

    async fn try_pass(&self, mut request: Request) -> Result<Response, Problem> {
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let target: Uri = format!("{}{path}", self.base)
            .parse()
            .map_err(|_| Problem::invalid("target", "the address cannot be read"))?;
        *request.uri_mut() = target;
        remove_hop_by_hop(request.headers_mut());
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, self.connections.request(request)).await;
        let Ok(Ok(answer)) = answer else {
            return Err(Problem::unavailable(
                "a part of the platform does not answer; try again",
                1,
            ));
        };
        let mut answer = answer.map(Body::new);
        remove_hop_by_hop(answer.headers_mut());
        Ok(answer)
    }
}
