//! What releases say of their instances.

use api::{configurator::PutService, manifest::Manifest};
use types::{Digest, Name};

use crate::{Error, store::Stored};

/// What the release says that the instance is on.
pub(crate) async fn manifest_of(on: impl db::On, stored: &Stored) -> Result<Manifest, Error> {
    manifest(on, &stored.service, &stored.release).await
}

/// What a release says that was promoted once.
pub(crate) async fn manifest(
    on: impl db::On,
    service: &Name,
    release: &Digest,
) -> Result<Manifest, Error> {
    let proposed = chassis::promoted::<PutService>(on, service, release).await?;
    Ok(proposed.ok_or_else(|| Error::NoService(service.clone()))?.manifest)
}
