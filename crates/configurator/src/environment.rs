//! What an instance's code is told: by environment, or, for a service that serves many instances
//! from one process, by host.

use std::collections::BTreeMap;

use api::{
    configurator::{Environment, GetEnvironment, InstanceState, ResolveHost, Tenant},
    manifest::{FieldKind, Manifest},
};
use chassis::{Call, Room};
use types::Secret;

use crate::{
    Error, State,
    databases::database_url,
    setup::{manifest_of, settings_context},
    store::{self, Stored},
};

pub(crate) async fn get_environment(
    cx: Call<State>,
    op: GetEnvironment,
) -> Result<Environment, Error> {
    let stored = store::instance(cx.db(), op.instance).await?;
    let stored = stored.ok_or(Error::Missing("instance"))?;
    let manifest = manifest_of(cx.db(), &stored).await?;
    let modules: Vec<&str> = stored.modules.iter().map(String::as_str).collect();
    let mut variables = BTreeMap::from([
        ("PUBLIC_URL".to_owned(), Secret::new(cx.state().url(&stored.host))),
        ("MODULES".to_owned(), Secret::new(modules.join(","))),
    ]);
    if let Some(url) = database_url(&cx, &stored, &manifest).await? {
        variables.insert("DATABASE_URL".to_owned(), url);
    }
    for (name, value) in settings(&cx, &stored, &manifest)? {
        variables.insert(format!("SETUP_{}", name.to_uppercase()), Secret::new(value));
    }
    Ok(Environment { account: stored.account, variables })
}

pub(crate) async fn resolve_host(cx: Call<State>, op: ResolveHost) -> Result<Tenant, Error> {
    let stored = store::instance_at(cx.db(), &op.host).await?;
    // Another service's instance is as unknown as none.
    let stored = stored
        .filter(|stored| stored.service == op.service && stored.state != InstanceState::Creating)
        .ok_or(Error::Missing("host"))?;
    let manifest = manifest_of(cx.db(), &stored).await?;
    let mut settings = settings(&cx, &stored, &manifest)?;
    let passwords = manifest.setup.iter().filter(|(_, field)| field.kind == FieldKind::Password);
    for (name, _) in passwords {
        settings.remove(name);
    }
    let database_url = database_url(&cx, &stored, &manifest).await?;
    Ok(Tenant {
        instance: stored.instance,
        database_url: database_url.unwrap_or_else(|| Secret::new("")),
        public_url: cx.state().url(&stored.host),
        host: stored.host,
        modules: stored.modules,
        settings,
    })
}

/// What was filled in, and the defaults of fields that there were not when it was.
fn settings(
    room: &Room<State>,
    stored: &Stored,
    manifest: &Manifest,
) -> Result<BTreeMap<String, String>, Error> {
    let Some(sealed) = &stored.settings else { return Ok(BTreeMap::new()) };
    let opened = room.seal().open(sealed, &settings_context(stored.instance))?;
    let filled_in: BTreeMap<String, String> =
        serde_json::from_str(opened.reveal()).map_err(|_| chassis::SealError::Closed)?;
    let defaults = manifest.setup.iter();
    let defaults =
        defaults.filter_map(|(name, field)| Some((name.clone(), field.default.clone()?)));
    Ok(defaults.chain(filled_in).collect())
}
