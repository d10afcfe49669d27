//! The set-up page: fields, then progress, then the way in.

use std::collections::BTreeMap;

use api::{
    configurator::{GetSetup, InstanceState, Route, Setup, SubmitSetup},
    manifest::FieldKind,
};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use types::{Digest, Secret};

use super::{form, query_field};
use crate::{
    phases::{authenticate::foreign, stop::Stop, visit::Visit},
    render::{self, Body, SetupForm, see},
    request::{cookies::Ours, headers::is_same_origin},
    state::State,
};

/// The field of the address that carries the set-up key.
const KEY: &str = "key";
/// For how long a browser keeps it.
const KEY_SECONDS: u64 = 86_400;

pub(super) async fn show(
    state: &State,
    visit: &Visit,
    route: &Route,
) -> Result<Response<Body>, Stop> {
    if route.state == InstanceState::Open {
        return Ok(see("/"));
    }
    let question = GetSetup { account: route.account, instance: route.instance };
    let setup = state.call(question).await?;
    let key = query_field(visit, KEY);
    let mut response = page(&setup, key.as_deref(), &BTreeMap::new(), StatusCode::OK);
    if let Some(key) = key.filter(|key| is_key(route, key)) {
        Ours::Setup.set(response.headers_mut(), &key, KEY_SECONDS, visit.is_https);
    }
    Ok(response)
}

/// Whether whoever asks for a path has shown the key that lets them through to the application's
/// own set-up page.
pub(crate) fn sets_up(state: &State, visit: &Visit, route: &Route, path: &str) -> bool {
    if route.setup_key.is_none() || route.state != InstanceState::AwaitingSetup {
        return false;
    }
    let manifest = state.releases.manifest(&route.release);
    let mut keys = Ours::Setup.values(&visit.head.headers, visit.is_https);
    manifest.is_some_and(|manifest| manifest.is_setup(path)) && keys.any(|key| is_key(route, key))
}

fn is_key(route: &Route, key: &str) -> bool {
    route.setup_key.as_ref() == Some(&Digest::of(key.as_bytes()))
}

pub(super) async fn submit(
    state: &State,
    visit: &Visit,
    route: &Route,
    body: Incoming,
) -> Result<Response<Body>, Stop> {
    // Another page must not fill it in, even if it has got hold of the key.
    if is_same_origin(&visit.head.headers, visit.is_https) == Some(false) {
        return Err(foreign().into());
    }
    let key = query_field(visit, KEY);
    let values: BTreeMap<String, String> = form(visit, body).await?.into_iter().collect();
    let operation = SubmitSetup {
        account: route.account,
        instance: route.instance,
        key: key.as_deref().map(Secret::new),
        values: values.iter().map(|(name, value)| (name.clone(), Secret::new(value))).collect(),
    };
    let setup = state.call(operation).await?;
    // It has not begun: the page says why.
    if matches!(setup.state, InstanceState::AwaitingSetup | InstanceState::Failed) {
        return Ok(page(&setup, key.as_deref(), &values, StatusCode::UNPROCESSABLE_ENTITY));
    }
    // Sending it again, as by reloading the page, is then only looking.
    Ok(see(&address(key.as_deref())))
}

fn address(key: Option<&str>) -> String {
    let query = key.and_then(|key| serde_html_form::to_string([(KEY, key)]).ok());
    query.map_or("/.mandate/setup".to_owned(), |query| format!("/.mandate/setup?{query}"))
}

fn page(
    setup: &Setup,
    key: Option<&str>,
    values: &BTreeMap<String, String>,
    status: StatusCode,
) -> Response<Body> {
    match setup.state {
        InstanceState::Open => see("/"),
        InstanceState::SettingUp | InstanceState::Creating => {
            render::respond(status, render::progress(setup))
        }
        InstanceState::AwaitingSetup | InstanceState::Failed => {
            let passwords =
                setup.fields.iter().filter(|field| field.field.kind == FieldKind::Password);
            let mut values = values.clone();
            for field in passwords {
                values.remove(&field.name);
            }
            let action = key.map(|key| address(Some(key)));
            render::respond(status, render::setup_form(&SetupForm { setup, action, values }))
        }
    }
}
