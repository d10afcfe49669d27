//! Fetches a package into a file, part by part, and goes on where an earlier attempt was interrupted.

use std::{
    fs,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use api::{
    Client,
    releases::{GetPackagePart, PACKAGE_BYTES_MAX},
};
use sha2::{Digest as _, Sha256};
use types::Digest;

use super::{blocking, package::PackageError};
use crate::folder::remove_file;

/// So much of a file is in memory while it is hashed.
const BUFFER_BYTES: usize = 64 << 10;

/// A file with the beginning of a package, or all of it.
struct Fetched {
    file: fs::File,
    hash: Sha256,
    bytes: u64,
}

impl Fetched {
    /// What an earlier attempt has left, perhaps nothing.
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = fs::File::options();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let (mut file, mut hash) = (options.open(path)?, Sha256::new());
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let bytes = file.stream_position()?;
        Ok(Self { file, hash, bytes })
    }

    fn append(&mut self, part: &[u8]) -> io::Result<()> {
        self.file.write_all(part)?;
        self.hash.update(part);
        self.bytes += part.len() as u64;
        Ok(())
    }

    fn digest(&self) -> Digest {
        Digest::finish(self.hash.clone())
    }
}

/// Has the whole package in the file at `path`. One that cannot be right is removed.
pub(super) async fn fetch(
    client: &Client,
    digest: &Digest,
    path: &Path,
) -> Result<(), PackageError> {
    let outcome = go_on(client, digest, path).await;
    if matches!(outcome, Err(PackageError::Digest(_) | PackageError::Size)) {
        remove_file(path)?;
    }
    outcome
}

async fn go_on(client: &Client, digest: &Digest, path: &Path) -> Result<(), PackageError> {
    let from = path.to_owned();
    let mut fetched = blocking(move || Ok(Fetched::open(&from)?)).await?;
    while fetched.digest() != *digest {
        let operation = GetPackagePart { digest: digest.clone(), offset: fetched.bytes };
        let part = client.download(operation).await.map_err(PackageError::Fetch)?;
        if part.is_empty() {
            return Err(PackageError::Digest(fetched.digest()));
        }
        if fetched.bytes + part.len() as u64 > PACKAGE_BYTES_MAX {
            return Err(PackageError::Size);
        }
        fetched = blocking(move || {
            fetched.append(&part)?;
            Ok(fetched)
        })
        .await?;
    }
    Ok(())
}
