//! Packages: bytes under their digest, read part by part.

use std::io::{self, Read};

use api::releases::GetPackagePart;
use bytes::{Buf as _, Bytes};
use chassis::{Call, Room};
use tokio::runtime::Handle;
use types::Digest;

use crate::{Error, State, storage::blocking};

/// A manifest is at most this long; so is a price book.
const TEXT_BYTES_MAX: u64 = 256 << 10;
/// Nobody unpacks more than this to look for two files.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;

pub(crate) async fn get_package_part(cx: Call<State>, op: GetPackagePart) -> Result<Bytes, Error> {
    cx.state().storage.part(&op.digest, op.offset).await
}

/// Reads a package from its beginning to its end, with one part in memory.
struct Reader {
    room: Room<State>,
    runtime: Handle,
    digest: Digest,
    offset: u64,
    part: Bytes,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.part.is_empty() {
            let part = self.room.state().storage.part(&self.digest, self.offset);
            self.part = self.runtime.block_on(part).map_err(io::Error::other)?;
            self.offset += self.part.len() as u64;
        }
        let length = buffer.len().min(self.part.len());
        self.part.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Checks that the manifest and the price book in the package are those that were sent beside it:
/// what is announced is what runs.
pub(crate) async fn check_texts(
    room: Room<State>,
    digest: Digest,
    manifest: String,
    prices: String,
) -> Result<(), Error> {
    if room.state().storage.size(&digest).await?.is_none() {
        return Err(Error::NoPackage(digest));
    }
    let (runtime, part) = (Handle::current(), Bytes::new());
    let package = Reader { room, runtime, digest, offset: 0, part };
    blocking(move || {
        let unreadable = |cause: io::Error| Error::Package(cause.to_string());
        let unpacked = zstd::Decoder::new(package).map_err(unreadable)?;
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
