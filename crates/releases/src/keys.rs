//! The keys that are trusted to sign releases of a service. The first release's is trusted by
//! itself, every other one by an operator.
//!
//! A key that was taken back signs nothing new, and no release of it is promoted or made ready. What
//! is current or what instances are on goes on, so that nobody is turned away: it is replaced by the
//! promotion of another one.

use std::collections::BTreeSet;

use api::releases::{
    COMMENT_CHARS_MAX, DistrustKey, KEYS_MAX, ListServiceKeys, ServiceKey, TrustKey,
};
use chassis::{Call, Room};
use ed25519_dalek::VerifyingKey;
use types::{Digest, Name, Page};

use crate::{Error, State, store};

/// A public key as it is kept, with the key itself. A weak one, of which signatures can be made
/// without its secret, is none.
pub(crate) fn parsed(text: &str) -> Option<(String, VerifyingKey)> {
    let key = VerifyingKey::from_bytes(&chassis::unhex::<32>(text)?).ok()?;
    (!key.is_weak()).then(|| (text.to_lowercase(), key))
}

/// Refuses a key that is not trusted to sign releases of the service.
pub(crate) async fn may_sign(
    tx: &mut db::Tx,
    service: &Name,
    public_key: &str,
) -> Result<(), Error> {
    match store::key(tx, service, public_key).await? {
        Some(key) if key.taken_back.is_none() => Ok(()),
        Some(_) => Err(Error::KeyTakenBack),
        None => Err(Error::OtherPublisher(service.clone(), public_key.to_owned())),
    }
}

/// Whether the key that has signed a release is trusted still.
pub(crate) async fn is_trusted(
    tx: &mut db::Tx,
    service: &Name,
    digest: &Digest,
) -> Result<bool, Error> {
    let key = store::key_of(tx, service, digest).await?;
    Ok(key.is_some_and(|key| key.taken_back.is_none()))
}

pub(crate) async fn list_service_keys(
    cx: Call<State>,
    op: ListServiceKeys,
) -> Result<Page<ServiceKey>, Error> {
    let cursor = op.cursor();
    let keys = store::keys(cx.db(), &op.service, &cursor).await?;
    if keys.is_empty() && !store::is_known(cx.db(), &op.service).await? {
        return Err(Error::NoService);
    }
    Ok(Page::cut(keys, &cursor, |key| key.public_key.clone()))
}

pub(crate) async fn trust_key(cx: Call<State>, op: TrustKey) -> Result<ServiceKey, Error> {
    let (public_key, _) = parsed(&op.public_key).ok_or(Error::Key)?;
    if op.comment.chars().count() > COMMENT_CHARS_MAX || op.comment.contains(char::is_control) {
        return Err(Error::KeyComment);
    }
    let mut write = cx.begin().await?;
    store::lock_service(write.tx(), &op.service).await?;
    let count = store::count_keys(write.tx(), &op.service).await?;
    if count == 0 {
        return Err(Error::NoService);
    }
    let before = store::key(write.tx(), &op.service, &public_key).await?;
    let key = match before {
        // Who has trusted it since when stays as it is.
        Some(before) if before.taken_back.is_none() => {
            let comment = if op.comment.is_empty() { before.comment } else { op.comment };
            ServiceKey { comment, ..before }
        }
        None if count >= KEYS_MAX => return Err(Error::TooManyKeys),
        _ => ServiceKey {
            service: op.service,
            public_key,
            comment: op.comment,
            added: write.now(),
            added_by: Some(write.caller.principal.clone()),
            taken_back: None,
            taken_back_by: None,
        },
    };
    store::put_key(write.tx(), &key).await?;
    write.commit().await?;
    cx.state().planning.something_changed();
    Ok(key)
}

pub(crate) async fn distrust_key(cx: Call<State>, op: DistrustKey) -> Result<ServiceKey, Error> {
    let public_key = op.public_key.to_lowercase();
    let mut write = cx.begin().await?;
    store::lock_service(write.tx(), &op.service).await?;
    let key = store::key(write.tx(), &op.service, &public_key).await?.ok_or(Error::NoKey)?;
    if key.taken_back.is_some() {
        return Ok(key);
    }
    let signed = store::signed_by(write.tx(), &op.service, &public_key).await?;
    let under_way = store::rollout_under_way(write.tx(), &op.service).await?;
    // What moves there would go on moving: somebody says first whether it stops or goes back.
    if let Some(rollout) = under_way.filter(|rollout| signed.contains(&rollout.to)) {
        return Err(Error::KeyOfRollout { service: op.service, release: rollout.to });
    }
    if !op.force {
        let current = store::current_of(write.tx(), &op.service).await?;
        let current = current.map(|(digest, _)| digest).filter(|it| signed.contains(it));
        let instances = instances_on(&cx, &op.service, &signed)?;
        let kept = store::kept(write.tx()).await?;
        let does_jobs =
            signed.iter().find(|it| kept.contains(&(op.service.clone(), (*it).clone())));
        if let Some(release) = does_jobs {
            return Err(Error::KeyOfJobs { release: release.clone() });
        }
        if current.is_some() || instances > 0 {
            return Err(Error::KeyInUse { current, instances });
        }
    }
    let taken_back_by = Some(write.caller.principal.clone());
    let key = ServiceKey { taken_back: Some(write.now()), taken_back_by, ..key };
    store::put_key(write.tx(), &key).await?;
    write.commit().await?;
    cx.state().planning.something_changed();
    Ok(key)
}

/// How many instances are on one of these releases, or run it on their way.
fn instances_on(room: &Room<State>, service: &Name, releases: &[Digest]) -> Result<usize, Error> {
    let releases: BTreeSet<&Digest> = releases.iter().collect();
    let mut count = 0;
    room.state().planning.each_route(|route| {
        let mut runs = route.moving.iter().flat_map(|moving| &moving.runs);
        let is_on = releases.contains(&route.release) || runs.any(|it| releases.contains(it));
        count += usize::from(route.service == *service && is_on);
    })?;
    Ok(count)
}
