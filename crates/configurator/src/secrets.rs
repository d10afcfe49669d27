//! What is made by chance for each instance, as the manifest of its service asks: kept sealed, and
//! the same until it is rotated.

use std::collections::BTreeMap;

use api::{Empty, configurator::RotateSecret, manifest::Manifest};
use chassis::{Room, Write};
use types::{InstanceId, Secret};

use crate::{
    Error, State,
    instances::own,
    manifests::manifest_of,
    model::{instance::route, secret::secret},
    store::{self, Stored},
};

/// All secrets of an instance. What a later release asks for is made when it is first asked for, and
/// what one does not name any more is kept for the way back.
pub(crate) async fn secrets(
    room: &Room<State>,
    instance: InstanceId,
    manifest: &Manifest,
) -> Result<BTreeMap<String, Secret>, Error> {
    let mut kept = store::secrets(room.db(), instance).await?;
    let is_there = |kept: &[(String, String)], name: &str| kept.iter().any(|(k, _)| k == name);
    if !manifest.secrets.keys().all(|name| is_there(&kept, name)) {
        for (name, form) in &manifest.secrets {
            let sealed = room.seal().seal(&secret(*form), &context(instance, name));
            store::insert_secret(room.db(), instance, (name, &sealed)).await?;
        }
        // Another may have made them that moment, so what is kept counts.
        kept = store::secrets(room.db(), instance).await?;
    }
    let opened = kept.into_iter().map(|(name, sealed)| {
        let value = room.seal().open(&sealed, &context(instance, &name))?;
        Ok((name, value))
    });
    opened.collect()
}

pub(crate) async fn rotate_secret(cx: &mut Write<State>, op: RotateSecret) -> Result<Empty, Error> {
    let stored = own(cx.tx(), op.account, op.instance).await?;
    let manifest = manifest_of(cx.tx(), &stored).await?;
    let Some(form) = manifest.secrets.get(&op.secret) else {
        let names: Vec<String> = manifest.secrets.keys().map(|name| format!("`{name}`")).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::NoSecret { service: stored.service, secret: op.secret, known });
    };
    let sealed = cx.seal().seal(&secret(*form), &context(op.instance, &op.secret));
    store::put_secret(cx.tx(), op.instance, (&op.secret, &sealed)).await?;
    let stored = Stored { rotations: stored.rotations + 1, ..stored };
    store::update_instance(cx.tx(), &stored).await?;
    cx.put(&route(&stored)).await?;
    Ok(Empty {})
}

/// What a secret is sealed for.
fn context(instance: InstanceId, name: &str) -> String {
    format!("{instance}/secrets/{name}")
}
