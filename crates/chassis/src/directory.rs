//! Where each component is: in this process, or at an address.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use api::{Problem, Remote, Transport, TransportError, http::Sending};
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::{problem_response, relay::Relay};

/// Carries each request to the component that its path begins with. Cheap to clone.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<HashMap<String, Peer>>>);

#[derive(Clone)]
enum Peer {
    Local(Router),
    Remote { remote: Arc<Remote>, relay: Arc<Relay> },
}

impl Directory {
    /// The component stands in this process.
    pub fn add_local(&self, component: &str, router: Router) {
        self.add(component, Peer::Local(router));
    }

    /// The component is at the base address `url`.
    pub fn add_remote(&self, component: &str, url: &str) {
        self.add(
            component,
            Peer::Remote { remote: Arc::new(Remote::new(url)), relay: Arc::new(Relay::new(url)) },
        );
    }

    fn add(&self, component: &str, peer: Peer) {
        let mut peers = self.0.write().expect("nobody panics while holding it");
        peers.insert(component.to_owned(), peer);
    }

    /// Leads nowhere from now on.
    pub(crate) fn clear(&self) {
        self.0.write().expect("nobody panics while holding it").clear();
    }

    fn find(&self, component: &str) -> Option<Peer> {
        self.0.read().expect("nobody panics while holding it").get(component).cloned()
    }

    /// Answers a request from outside, bodies flowing through.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        match self.find(component(request.uri())) {
            Some(Peer::Local(router)) => {
                let Ok(response) = router.oneshot(request).await;
                response
            }
            Some(Peer::Remote { relay, .. }) => relay.pass(request).await,
            None => problem_response(Problem::not_found("component")),
        }
    }
}

/// The name that a request's path begins with.
fn component(uri: &http::Uri) -> &str {
    uri.path().split('/').nth(1).unwrap_or_default()
}

impl Transport for Directory {
    fn send(&self, request: Request<Bytes>) -> Sending<'_> {
        let component = component(request.uri());
        match self.find(component) {
            Some(Peer::Local(router)) => Box::pin(async move { Ok(within(router, request).await) }),
            Some(Peer::Remote { remote, .. }) => {
                Box::pin(async move { remote.send(request).await })
            }
            None => {
                let why = "it is neither in this process nor at a known address".to_owned();
                let missing = TransportError { to: component.to_owned(), why };
                Box::pin(std::future::ready(Err(missing)))
            }
        }
    }
}

async fn within(router: Router, request: Request<Bytes>) -> Response<Bytes> {
    let Ok(response) = router.oneshot(request.map(Body::from)).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Response::from_parts(parts, body)
}
