//! Packages: bytes under their digest.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::PathBuf,
};

use api::{
    Empty,
    releases::{GetPackage, PutPackage},
};
use bytes::Bytes;
use chassis::Call;
use types::Digest;

use crate::{Error, State};

/// A manifest is at most this long; so is a price book.
const TEXT_BYTES_MAX: u64 = 256 << 10;
/// Nobody unpacks more than this to look for two files.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;

impl State {
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.packages.join(digest.hex())
    }
}

pub(crate) async fn put_package(
    cx: Call<State>,
    op: PutPackage,
    body: Bytes,
) -> Result<Empty, Error> {
    let path = cx.state().path(&op.digest);
    let stored = blocking(move || {
        let found = Digest::of(&body);
        if found != op.digest {
            return Err(Error::WrongDigest { named: op.digest, found });
        }
        if path.exists() {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let fresh = path.with_extension(format!("new{}", std::process::id()));
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        Ok(())
    });
    stored.await?;
    Ok(Empty {})
}

pub(crate) async fn get_package(cx: Call<State>, op: GetPackage) -> Result<Bytes, Error> {
    read(cx.state().path(&op.digest), op.digest).await
}

async fn read(path: PathBuf, digest: Digest) -> Result<Bytes, Error> {
    blocking(move || match fs::read(&path) {
        Ok(content) => Ok(content.into()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Err(Error::NoPackage(digest)),
        Err(cause) => Err(cause.into()),
    })
    .await
}

/// Checks that the manifest and the price book in the package are those that were sent beside it:
/// what is announced is what runs.
pub(crate) async fn check_texts(
    path: PathBuf,
    digest: Digest,
    manifest: String,
    prices: String,
) -> Result<(), Error> {
    let content = read(path, digest).await?;
    blocking(move || {
        let unreadable = |cause: std::io::Error| Error::Package(cause.to_string());
        let unpacked = zstd::Decoder::new(&content[..]).map_err(unreadable)?;
        let mut archive = tar::Archive::new(unpacked.take(UNPACKED_BYTES_MAX));
        let mut wanted = vec![("mandate.toml", manifest), ("prices.toml", prices)];
        for entry in archive.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
            let name = name.trim_start_matches("./");
            let Some(place) = wanted.iter().position(|(file, _)| *file == name) else { continue };
            let (file, sent) = wanted.remove(place);
            let mut found = String::new();
            entry.take(TEXT_BYTES_MAX).read_to_string(&mut found).map_err(unreadable)?;
            if found != sent {
                return Err(Error::NotThePackages(file));
            }
        }
        match wanted.first() {
            Some((file, _)) => Err(Error::Package(format!("it has no `{file}`"))),
            None => Ok(()),
        }
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|cause| Err(std::io::Error::other(cause).into()))
}
