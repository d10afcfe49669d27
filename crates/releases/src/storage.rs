//! Where packages lie: each under its digest, and only whole ones.

mod bucket;

use std::{
    fs, io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use api::releases::PACKAGE_PART_BYTES_MAX;
use bytes::Bytes;
use types::Digest;

use crate::Error;
use bucket::Bucket;

/// So much is read at once.
const PART_BYTES: u64 = PACKAGE_PART_BYTES_MAX as u64;

/// Where packages lie.
#[derive(Debug, Clone)]
pub struct Storage {
    place: Place,
    /// The parts of packages that are being sent.
    uploads: PathBuf,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(PathBuf),
    Bucket(Bucket),
}

impl Storage {
    /// In a folder, which is made when it is needed.
    pub fn folder(folder: PathBuf) -> Self {
        // Where they can be renamed to where packages lie.
        Self { uploads: folder.join("uploads"), place: Place::Folder(folder) }
    }

    /// In the bucket of S3 at `s3://BUCKET` or `s3://BUCKET/PREFIX`; what is being sent is in the
    /// folder `uploads` until it is whole.
    pub fn bucket(url: &str, uploads: PathBuf) -> io::Result<Self> {
        Ok(Self { place: Place::Bucket(Bucket::open(url)?), uploads })
    }

    /// Asks at the start whether packages can be stored.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        match &self.place {
            Place::Folder(_) => Ok(()),
            Place::Bucket(bucket) => bucket
                .check()
                .await
                .map_err(|cause| Error::Bucket(format!("{bucket:?}"), said(&cause))),
        }
    }

    /// The file of the parts of a package that is being sent.
    pub(crate) fn upload(&self, digest: &Digest) -> PathBuf {
        self.uploads.join(digest.hex())
    }

    /// How many bytes a package has, if it is there.
    pub(crate) async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match &self.place {
            Place::Bucket(bucket) => Ok(bucket.size(digest.hex()).await?),
            Place::Folder(folder) => {
                let path = folder.join(digest.hex());
                blocking(move || Ok(found(fs::metadata(path))?.map(|file| file.len()))).await
            }
        }
    }

    /// Takes a package from the file of its parts, all of it or nothing. The file may be gone then.
    pub(crate) async fn put(&self, digest: &Digest) -> Result<(), Error> {
        let from = self.upload(digest);
        let path = match &self.place {
            Place::Bucket(bucket) => return bucket.put(digest.hex(), &from).await,
            Place::Folder(folder) => folder.join(digest.hex()),
        };
        blocking(move || {
            fs::File::open(&from)?.sync_all()?;
            fs::rename(from, &path)?;
            // A machine that fails does not forget the name either.
            path.parent().map_or(Ok(()), |folder| Ok(fs::File::open(folder)?.sync_all()?))
        })
        .await
    }

    /// Removes the parts of a package that is not being sent any more.
    pub(crate) async fn forget(&self, digest: &Digest) -> Result<(), Error> {
        if let Place::Bucket(bucket) = &self.place {
            bucket.forget(digest.hex()).await?;
        }
        let parts = self.upload(digest);
        blocking(move || Ok(found(fs::remove_file(parts)).map(drop)?)).await
    }

    /// Deletes a package, if it is there.
    pub(crate) async fn delete(&self, digest: &Digest) -> Result<(), Error> {
        match &self.place {
            Place::Bucket(bucket) => Ok(bucket.delete(digest.hex()).await?),
            Place::Folder(folder) => {
                let path = folder.join(digest.hex());
                blocking(move || Ok(found(fs::remove_file(path)).map(drop)?)).await
            }
        }
    }

    /// Reads a part of a package, empty after its end.
    pub(crate) async fn part(&self, digest: &Digest, offset: u64) -> Result<Bytes, Error> {
        let part = match &self.place {
            Place::Bucket(bucket) => bucket.part(digest.hex(), offset, PART_BYTES).await?,
            Place::Folder(folder) => {
                let path = folder.join(digest.hex());
                blocking(move || {
                    let Some(file) = found(fs::File::open(path))? else { return Ok(None) };
                    let left = file.metadata()?.len().saturating_sub(offset);
                    read_at(&file, offset, left.min(PART_BYTES)).map(Some)
                })
                .await?
            }
        };
        part.ok_or_else(|| Error::NoPackage(digest.clone()))
    }
}

fn read_at(file: &fs::File, offset: u64, length: u64) -> Result<Bytes, Error> {
    let mut part = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut part, offset)?;
    Ok(part.into())
}

/// A cause with all that it follows from.
fn said(cause: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(cause), |cause| cause.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
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
