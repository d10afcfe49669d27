//! A package's bytes, in a file that has no name, so that nothing of it stays whatever happens.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
};

use api::releases::{GetPackage, PACKAGE_PART_BYTES_MAX, PackageState, PutPackage, PutPackagePart};
use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::cli::{Failure, Outcome, context::Context, progress::Progress};

/// Bytes that are written to a file and hashed on the way.
pub(super) struct Packing {
    file: io::BufWriter<fs::File>,
    hash: Sha256,
    bytes: u64,
}

impl Packing {
    /// In a file of the folder for temporary files, which has its name for a moment only.
    pub(super) fn begin() -> io::Result<Self> {
        let name = format!("mandate-package-{}", &chassis::random_secret().reveal()[..12]);
        let path = std::env::temp_dir().join(name);
        let mut options = fs::File::options();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(path)?;
        Ok(Self { file: io::BufWriter::new(file), hash: Sha256::new(), bytes: 0 })
    }

    /// All of it is written.
    pub(super) fn end(self) -> io::Result<Packed> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Packed { file, bytes: self.bytes, digest: Digest::finish(self.hash) })
    }
}

impl Write for Packing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A package's bytes.
pub(crate) struct Packed {
    file: fs::File,
    /// How many they are.
    pub(crate) bytes: u64,
    /// Their name.
    pub(crate) digest: Digest,
}

impl Packed {
    /// Sends what the platform does not have yet.
    pub(crate) async fn send(&self, cx: &Context, progress: &mut Progress) -> Outcome {
        let (digest, bytes) = (&self.digest, self.bytes);
        let PackageState { bytes: mut offset, whole } =
            cx.ask(GetPackage { digest: digest.clone() }).await?;
        if !whole && offset > 0 {
            progress
                .say(&format!("goes on after the {} KiB that were sent before", offset >> 10))?;
        }
        while !whole && offset < bytes {
            let part = self.part(offset);
            let part =
                part.map_err(|cause| Failure::cannot("read what was packed".to_owned(), &cause))?;
            let end = offset + part.len() as u64;
            cx.upload(PutPackagePart { digest: digest.clone(), offset }, part.into()).await?;
            offset = end;
        }
        // Also where it is there already: it stays for a while then, until it is published.
        cx.ask(PutPackage { digest: digest.clone(), bytes }).await?;
        progress.say(if whole { "the platform has the package" } else { "sent the package" })
    }

    fn part(&self, offset: u64) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.bytes - offset).unwrap_or(usize::MAX);
        let mut part = vec![0; left.min(PACKAGE_PART_BYTES_MAX)];
        self.file.read_exact_at(&mut part, offset)?;
        Ok(part)
    }
}
