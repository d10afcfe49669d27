//! Where packages lie: each under its digest, and only whole ones.

use std::{
    fs, io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use api::releases::PACKAGE_PART_BYTES_MAX;
use bytes::Bytes;
use types::Digest;

use crate::Error;

/// Where packages lie.
#[derive(Debug, Clone)]
pub struct Storage {
    folder: PathBuf,
}

impl Storage {
    /// In a folder, which is made when it is needed.
    pub const fn folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file of the parts of a package that is being sent. It can be renamed to where packages
    /// lie.
    pub(crate) fn upload(&self, digest: &Digest) -> PathBuf {
        self.folder.join("uploads").join(digest.hex())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// How many bytes a package has, if it is there.
    pub(crate) async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let path = self.path(digest);
        blocking(move || Ok(found(fs::metadata(path))?.map(|file| file.len()))).await
    }

    /// Takes a package from a file, all of it or nothing. The file may be gone then.
    pub(crate) async fn put(&self, digest: &Digest, from: PathBuf) -> Result<(), Error> {
        let path = self.path(digest);
        blocking(move || {
            fs::File::open(&from)?.sync_all()?;
            fs::rename(from, &path)?;
            // A machine that fails does not forget the name either.
            path.parent().map_or(Ok(()), |folder| Ok(fs::File::open(folder)?.sync_all()?))
        })
        .await
    }

    /// Deletes a package, if it is there.
    pub(crate) async fn delete(&self, digest: &Digest) -> Result<(), Error> {
        let path = self.path(digest);
        blocking(move || Ok(found(fs::remove_file(path)).map(drop)?)).await
    }

    /// Reads a part of a package, empty after its end.
    pub(crate) async fn part(&self, digest: &Digest, offset: u64) -> Result<Bytes, Error> {
        let path = self.path(digest);
        let part = blocking(move || {
            let Some(file) = found(fs::File::open(path))? else { return Ok(None) };
            let left = file.metadata()?.len().saturating_sub(offset);
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(PACKAGE_PART_BYTES_MAX);
            let mut part = vec![0; length];
            file.read_exact_at(&mut part, offset)?;
            Ok(Some(part.into()))
        });
        part.await?.ok_or_else(|| Error::NoPackage(digest.clone()))
    }
}

/// Nothing, if there is no such file.
pub(crate) fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Makes the folder that a file is to stand in.
pub(crate) fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Does what waits for a disk where nobody else waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|cause| Err(io::Error::other(cause).into()))
}
