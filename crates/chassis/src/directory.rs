//! Where each component is: in this process, or at an address.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use api::{Remote, Transport, TransportError, http::Sending};
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// Carries each request to the component that its path begins with. Cheap to clone.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<HashMap<String, Place>>>);

#[derive(Clone)]
enum Place {
    Here(Router),
    There(Arc<Remote>),
}

impl Directory {
    /// The component stands in this process.
    pub fn add_local(&self, component: &str, router: Router) {
        self.add(component, Place::Here(router));
    }

    /// The component is at the base address `url`.
    pub fn add_remote(&self, component: &str, url: &str) {
        self.add(component, Place::There(Arc::new(Remote::new(url))));
    }

    fn add(&self, component: &str, place: Place) {
        let mut places = self.0.write().expect("nobody panics while holding it");
        places.insert(component.to_owned(), place);
    }

    fn find(&self, component: &str) -> Option<Place> {
        self.0.read().expect("nobody panics while holding it").get(component).cloned()
    }

    /// All components of this process behind one router.
    pub fn local_router(&self) -> Router {
        let places = self.0.read().expect("nobody panics while holding it");
        places.values().fold(Router::new(), |all, place| match place {
            Place::Here(router) => all.merge(router.clone()),
            Place::There(_) => all,
        })
    }
}

impl Transport for Directory {
    fn send(&self, request: Request<Bytes>) -> Sending<'_> {
        let component = request.uri().path().split('/').nth(1).unwrap_or_default();
        match self.find(component) {
            Some(Place::Here(router)) => Box::pin(async move { Ok(within(router, request).await) }),
            Some(Place::There(remote)) => Box::pin(async move { remote.send(request).await }),
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
