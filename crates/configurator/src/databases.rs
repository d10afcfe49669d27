//! The databases of instances: each its own, with a user of its own.

use api::manifest::Manifest;
use chassis::Room;
use types::{Digest, InstanceId, Secret};

use crate::{
    Error, State,
    model::moves::{Step, Way, way},
    store::{self, OnItsWay, Stored},
};

/// Makes an instance's database; making it again changes nothing.
pub(crate) async fn make_database(room: &Room<State>, stored: &Stored) -> Result<(), Error> {
    let secret = password(room, stored.instance);
    Ok(room.state().engine.create(&stored.instance.to_string(), &secret).await?)
}

/// The password of an instance's database user. It follows from the master key, so it is stored
/// nowhere and is the same however often the database is made.
fn password(room: &Room<State>, instance: InstanceId) -> Secret {
    room.seal().password(&format!("{instance}/database"))
}

/// The database that a release has of an instance. One that only a later release asks for is made
/// when it is first asked for.
pub(crate) async fn database_url(
    room: &Room<State>,
    stored: &Stored,
    (release, manifest): (&Digest, &Manifest),
) -> Result<Option<Secret>, Error> {
    if manifest.database.is_none() {
        return Ok(None);
    }
    if !stored.has_database {
        make_database(room, stored).await?;
        store::set_has_database(room.db(), stored.instance).await?;
    }
    // A release that the instance is on its way to has the copy; no other that cannot read the database
    // is given it.
    let has_copy = |it: &&OnItsWay| {
        it.to == *release && matches!(it.step, Step::Migrate | Step::Check | Step::Start)
    };
    let moving = stored.moving.as_ref().filter(has_copy);
    let is_new = stored.schema.0 == 0;
    if moving.is_none()
        && *release != stored.release
        && !is_new
        && way(stored.schema, manifest) != Way::AtOnce
    {
        return Err(Error::OtherShape);
    }
    let copy = moving.map_or(stored.copy.0, |it| it.copy);
    let name = stored.instance.to_string();
    Ok(Some(room.state().engine.url(&name, copy, &password(room, stored.instance))))
}
