//! What an instance's code is told: by environment, or, for a service that serves many instances
//! from one process, by host.

use std::collections::BTreeMap;

use api::{
    configurator::{Environment, GetEnvironment, InstanceState, ResolveHost, Tenant},
    manifest::FieldKind,
};
use chassis::{Call, Room};
use types::{InstanceId, Secret};

use crate::{
    Error, State,
    setup::settings_context,
    store::{self, Stored},
};

pub(crate) async fn get_environment(
    cx: Call<State>,
    op: GetEnvironment,
) -> Result<Environment, Error> {
    let stored = store::instance(cx.db(), op.instance).await?;
    let stored = stored.ok_or(Error::Missing("instance"))?;
    let modules: Vec<&str> = stored.modules.iter().map(String::as_str).collect();
    let mut variables = BTreeMap::from([
        ("DATABASE_URL".to_owned(), database_url(&cx, &stored)),
        ("PUBLIC_URL".to_owned(), Secret::new(cx.state().url(&stored.host))),
        ("MODULES".to_owned(), Secret::new(modules.join(","))),
    ]);
    for (name, value) in settings(&cx, &stored)? {
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
    let service = store::service(cx.db(), &op.service).await?;
    let manifest = service.ok_or_else(|| Error::NoService(op.service))?.manifest;
    let mut settings = settings(&cx, &stored)?;
    let passwords = manifest.setup.iter().filter(|(_, field)| field.kind == FieldKind::Password);
    for (name, _) in passwords {
        settings.remove(name);
    }
    Ok(Tenant {
        instance: stored.instance,
        database_url: database_url(&cx, &stored),
        public_url: cx.state().url(&stored.host),
        host: stored.host,
        modules: stored.modules,
        settings,
    })
}

/// The password of an instance's database user. It follows from the master key, so it is stored
/// nowhere and is the same however often the database is made.
pub(crate) fn password(room: &Room<State>, instance: InstanceId) -> Secret {
    room.seal().password(&format!("{instance}/database"))
}

fn database_url(room: &Room<State>, stored: &Stored) -> Secret {
    let name = stored.instance.to_string();
    room.state().engine.url(&name, &password(room, stored.instance))
}

fn settings(room: &Room<State>, stored: &Stored) -> Result<BTreeMap<String, String>, Error> {
    let Some(sealed) = &stored.settings else { return Ok(BTreeMap::new()) };
    let opened = room.seal().open(sealed, &settings_context(stored.instance))?;
    serde_json::from_str(opened.reveal()).map_err(|_| chassis::SealError::Closed.into())
}
