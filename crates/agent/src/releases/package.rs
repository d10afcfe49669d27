//! A package, from a file to a checked folder: its publisher signed it, and its manifest is the one
//! that was announced.

use std::{
    fs,
    io::{self, BufRead},
    path::Path,
};

use api::{
    Problem,
    manifest::{Faults, Manifest},
    releases::{DesiredRelease, PACKAGE_BYTES_MAX, signed_text},
};
use ed25519_dalek::{Signature, VerifyingKey};
use types::{Digest, Name};

use super::unpack::{Limits, UnpackError, unpack};
use crate::folder::Scratch;

/// A manifest is at most this long.
const MANIFEST_BYTES_MAX: u64 = 256 << 10;

/// Why a release cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    #[error("the package cannot be fetched: {0}")]
    Fetch(Problem),
    #[error("the package is larger than {PACKAGE_BYTES_MAX} bytes: publish a smaller one")]
    Size,
    #[error("the package's digest is `{0}`, not what was announced: publish the release again")]
    Digest(Digest),
    #[error("the publisher's signature is wrong: publish the release again with the right key")]
    Signature,
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("the package has no readable `mandate.toml`: publish the release again")]
    NoManifest,
    #[error("the package's manifest cannot be read here; perhaps this agent is too old: {0}")]
    Manifest(Faults),
    #[error("the package's manifest is not the one of `{0}` that was announced: publish again")]
    OtherManifest(Name),
    #[error("the build hook {0}")]
    Build(String),
    #[error("the node cannot store the release: {0}")]
    Storage(#[from] io::Error),
}

/// When another attempt at a release may succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hope {
    /// When the platform answers, or the node has room.
    Soon,
    /// When somebody has mended something.
    Later,
    /// The package is what it is, and never fits.
    Never,
}

impl PackageError {
    pub(crate) fn hope(&self) -> Hope {
        match self {
            Self::Fetch(_) | Self::Storage(_) => Hope::Soon,
            Self::Size | Self::Digest(_) | Self::Build(_) => Hope::Later,
            Self::Unpack(UnpackError::Unreadable(cause)) if cause.raw_os_error().is_some() => {
                Hope::Soon
            }
            Self::Unpack(_)
            | Self::Signature
            | Self::NoManifest
            | Self::Manifest(_)
            | Self::OtherManifest(_) => Hope::Never,
        }
    }

    /// Whether the disk was full, or what may be stored on it.
    pub(crate) fn lacks_room(&self) -> bool {
        let (Self::Storage(cause) | Self::Unpack(UnpackError::Unreadable(cause))) = self else {
            return false;
        };
        matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Checks that the publisher has signed the package.
pub(crate) fn verify(release: &DesiredRelease) -> Result<(), PackageError> {
    let key =
        const_hex::decode_to_array(&release.public_key).map_err(|_| PackageError::Signature)?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| PackageError::Signature)?;
    let signature =
        const_hex::decode_to_array(&release.signature).map_err(|_| PackageError::Signature)?;
    let text = signed_text(&release.service, &release.digest);
    key.verify_strict(text.as_bytes(), &Signature::from_bytes(&signature))
        .map_err(|_| PackageError::Signature)
}

/// Unpacks a verified package beside `place`, and gives its manifest and the folder, which is to be
/// given its name.
pub(crate) fn unpack_beside(
    release: &DesiredRelease,
    package: impl BufRead,
    place: &Path,
) -> Result<(Manifest, Scratch), PackageError> {
    let scratch = Scratch::beside(place)?;
    unpack(package, scratch.path(), Limits::PACKAGE)?;
    let manifest = read_manifest(&scratch.path().join("mandate.toml"))?;
    if manifest != release.manifest || manifest.service.name != release.service {
        return Err(PackageError::OtherManifest(release.service.clone()));
    }
    Ok((manifest, scratch))
}

fn read_manifest(path: &Path) -> Result<Manifest, PackageError> {
    let about = fs::symlink_metadata(path).map_err(|_| PackageError::NoManifest)?;
    if !about.is_file() || about.len() > MANIFEST_BYTES_MAX {
        return Err(PackageError::NoManifest);
    }
    let text = fs::read_to_string(path).map_err(|_| PackageError::NoManifest)?;
    Manifest::parse("mandate.toml", &text).map_err(PackageError::Manifest)
}
