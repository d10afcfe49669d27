//! Packages that are being sent: their parts stand in a file until all are there.
//!
//! INVARIANT: a file of parts has a row, which is written before it and deleted after it.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use api::{
    Empty,
    releases::{GetPackage, PACKAGE_BYTES_MAX, PackageState, PutPackage, PutPackagePart},
};
use bytes::Bytes;
use chassis::{Call, Next, Room};
use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::{
    Error, State,
    storage::{blocking, found, make_folder_of},
    store,
};

/// So many packages are being sent at once.
const UPLOADS_MAX: u64 = 16;
/// Whoever was interrupted may go on for so long.
const LASTS: Duration = Duration::from_hours(24);

/// Whose turn it is at which package.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Held by whoever changes a package or its parts, or relies on it.
    pub(crate) fn of(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().expect("nobody panics while holding it");
        turns.retain(|_, turn| turn.strong_count() > 0);
        turns.get(digest).and_then(Weak::upgrade).unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(digest.clone(), Arc::downgrade(&turn));
            turn
        })
    }
}

pub(crate) async fn get_package(cx: Call<State>, op: GetPackage) -> Result<PackageState, Error> {
    let storage = &cx.state().storage;
    if let Some(bytes) = storage.size(&op.digest).await? {
        return Ok(PackageState { bytes, whole: true });
    }
    let parts = storage.upload(&op.digest);
    let there = blocking(move || Ok(found(fs::metadata(parts))?.map_or(0, |file| file.len())));
    Ok(PackageState { bytes: there.await?, whole: false })
}

pub(crate) async fn put_package_part(
    cx: Call<State>,
    op: PutPackagePart,
    part: Bytes,
) -> Result<Empty, Error> {
    let end = op.offset.checked_add(part.len() as u64);
    if end.is_none_or(|end| end > PACKAGE_BYTES_MAX) {
        return Err(Error::PackageSize);
    }
    let turn = cx.state().turns.of(&op.digest).lock_owned().await;
    if op.offset == 0 {
        let mut write = cx.begin().await?;
        let limit = (write.now(), UPLOADS_MAX);
        if !store::begin_upload(write.tx(), &op.digest, limit).await? {
            return Err(Error::TooManyUploads);
        }
        write.commit().await?;
    }
    let parts = cx.state().storage.upload(&op.digest);
    blocking(move || {
        // It is written also if nobody waits for it any more.
        let _turn = turn;
        write_part(&parts, op.offset, &part)
    })
    .await?;
    Ok(Empty {})
}

/// What is sent again is written again: all of it is one package's, or its digest will say so.
fn write_part(parts: &Path, offset: u64, part: &[u8]) -> Result<(), Error> {
    let begins = offset == 0;
    if begins {
        make_folder_of(parts)?;
    }
    let file = fs::File::options().write(true).create(begins).truncate(false).open(parts);
    let Some(file) = found(file)? else { return Err(Error::PartOffset(0)) };
    let there = file.metadata()?.len();
    if offset > there {
        return Err(Error::PartOffset(there));
    }
    Ok(file.write_all_at(part, offset)?)
}

/// It goes on if whoever asks does not wait for it: to ask again is to wait for the same.
pub(crate) async fn put_package(cx: Call<State>, op: PutPackage) -> Result<Empty, Error> {
    let room = cx.room().clone();
    let kept = tokio::spawn(async move { keep(&room, op).await }).await;
    kept.unwrap_or_else(|cause| Err(io::Error::other(cause).into()))
}

async fn keep(room: &Room<State>, op: PutPackage) -> Result<Empty, Error> {
    let PutPackage { digest, bytes } = op;
    let _turn = room.state().turns.of(&digest).lock_owned().await;
    let storage = &room.state().storage;
    if storage.size(&digest).await?.is_none() {
        let parts = storage.upload(&digest);
        let found = blocking(move || digest_of(&parts, bytes)).await?;
        if found != digest {
            // Nobody knows which part is wrong, so all of them are sent again.
            forget(room, &digest).await?;
            return Err(Error::WrongDigest { named: digest, found });
        }
        storage.put(&digest).await?;
    }
    storage.forget(&digest).await?;
    let mut write = room.begin().await?;
    let now = write.now();
    store::put_package(write.tx(), &digest, now).await?;
    store::end_upload(write.tx(), &digest).await?;
    write.commit().await?;
    Ok(Empty {})
}

/// The digest of the parts, which must be so many bytes.
fn digest_of(parts: &Path, bytes: u64) -> Result<Digest, Error> {
    let file = found(fs::File::open(parts))?;
    let there = file.as_ref().map_or(Ok(0), |file| file.metadata().map(|about| about.len()))?;
    let Some(mut file) = file.filter(|_| there >= bytes) else {
        return Err(Error::PartsMissing { there, bytes });
    };
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::finish(hash)),
            read => hash.update(&buffer[..read]),
        }
    }
}

async fn forget(room: &Room<State>, digest: &Digest) -> Result<(), Error> {
    room.state().storage.forget(digest).await?;
    let mut write = room.begin().await?;
    store::end_upload(write.tx(), digest).await?;
    write.commit().await?;
    Ok(())
}

/// Forgets what nobody goes on with.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    for digest in store::uploads_before(room.db(), room.now().minus(LASTS)).await? {
        let _turn = room.state().turns.of(&digest).lock_owned().await;
        // Whoever was killed before the package was written down has left it whole.
        if store::packages_of(room.db(), [&digest]).await?.is_empty() {
            room.state().storage.delete(&digest).await?;
        }
        forget(&room, &digest).await?;
        tracing::info!(%digest, "a package that was not sent to its end is forgotten");
    }
    Ok(Next::Idle)
}
