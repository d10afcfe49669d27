//! Shows the system to people, using only what the API offers them.
//!
//! Pages are made on the server, over the token of the person who is signed in; there is no way in
//! here that the API does not have. A handler asks, and answers with an [`answer::Page`] or a
//! failure; around all of them stand, from the outside in: the headers that every answer carries
//! (`headers`), the session and the frame that a page is drawn in (`session`), and the check that
//! a form was sent by the page it stands on (`form`). None of these can be forgotten by a handler.
//!
//! It keeps nothing: the session is the cookie, and any number of consoles can stand side by side.

mod access;
mod answer;
mod assets;
mod choices;
mod failure;
mod form;
mod headers;
mod layout;
mod names;
mod pages;
mod paging;
mod paths;
mod prices;
mod progress;
mod rights;
mod session;
mod states;
mod titles;
mod visitor;
mod words;

use std::sync::Arc;

use api::Client;
use axum::{Router, middleware};
use types::{Clock, Site};

/// What the console needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Asks the platform as nobody; the console shows it the token of whoever is signed in.
    pub client: Client,
    /// The domain below which instances are found, `localhost`.
    pub domain: String,
    /// How people's browsers reach instances.
    pub site: Site,
    /// Says when what is scheduled comes next.
    pub clock: Arc<dyn Clock>,
}

type Console = Arc<Config>;

/// The pages. The router expects the `Host` header that the browser sent.
pub fn router(config: Config) -> Router {
    let console = Arc::new(config);
    pages::router()
        .layer(middleware::from_fn(form::check))
        .layer(middleware::from_fn_with_state(Arc::clone(&console), session::frame))
        .merge(assets::router())
        .layer(middleware::from_fn(headers::set))
        .with_state(console)
}
