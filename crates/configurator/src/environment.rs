//! What an instance's code is told: by environment, or, for a service that serves many instances
//! from one process, by host.

use api::configurator::{Environment, GetEnvironment, InstanceState, ResolveHost, Tenant};
use chassis::Call;
use types::Secret;

use crate::{
    Error, State,
    databases::database_url,
    manifests::{manifest, manifest_of},
    model::environment::{Told, settings, variables, without_passwords},
    secrets::secrets,
    setup::filled_in,
    store,
};

pub(crate) async fn get_environment(
    cx: Call<State>,
    op: GetEnvironment,
) -> Result<Environment, Error> {
    let stored = store::instance(cx.db(), op.instance).await?;
    let stored = stored.ok_or(Error::Missing("instance"))?;
    cx.state().placements.check(op.node, &stored.service, op.instance)?;
    let release = op.release.as_ref().unwrap_or(&stored.release);
    let manifest = manifest(cx.db(), &stored.service, release).await?;
    let database_url = database_url(&cx, &stored, (release, &manifest)).await?;
    let settings = filled_in(cx.seal(), &stored)?.map(|values| settings(&manifest, values));
    let secrets = secrets(&cx, stored.instance, &manifest).await?;
    let variables = variables(Told {
        public_url: cx.state().url(&stored.host),
        modules: &stored.modules,
        size: stored.size,
        database_url,
        mail: cx.state().mail.as_ref(),
        settings: settings.unwrap_or_default(),
    });
    Ok(Environment { account: stored.account, variables, secrets })
}

pub(crate) async fn resolve_host(cx: Call<State>, op: ResolveHost) -> Result<Tenant, Error> {
    let stored = store::instance_at(cx.db(), &op.host).await?;
    // Another service's instance is as unknown as none.
    let stored = stored
        .filter(|stored| stored.service == op.service && stored.state != InstanceState::Creating)
        .ok_or(Error::Missing("host"))?;
    let manifest = manifest_of(cx.db(), &stored).await?;
    let settings = filled_in(cx.seal(), &stored)?.map(|values| settings(&manifest, values));
    let settings = without_passwords(&manifest, settings.unwrap_or_default());
    let database_url = database_url(&cx, &stored, (&stored.release, &manifest)).await?;
    Ok(Tenant {
        instance: stored.instance,
        database_url: database_url.unwrap_or_else(|| Secret::new("")),
        public_url: cx.state().url(&stored.host),
        host: stored.host,
        modules: stored.modules,
        settings,
    })
}
