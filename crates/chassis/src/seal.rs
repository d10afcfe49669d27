//! Secrets at rest: sealed with XChaCha20-Poly1305 under a key that is derived from the master key.
//!
//! The context (which table, which row) is authenticated with the secret, so that a sealed value
//! that was moved to another row does not open there.

use std::{
    fmt, fs,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use types::Secret;

/// Why a secret or a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A file cannot be read or written.
    #[error("`{path}` cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("`{0}` does not contain a key: restore it from a backup")]
    Unreadable(PathBuf),
    /// The master key is gone, and what was made with it is there.
    #[error("`{0}` is gone, and the keys beside it are there: restore it from a backup")]
    Lost(PathBuf),
    /// A sealed value does not open.
    #[error("a secret cannot be decrypted: is this the master key that it was encrypted with?")]
    Closed,
}

impl SealError {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn unreadable(path: &Path) -> Self {
        Self::Unreadable(path.to_owned())
    }
}

/// Seals and opens secrets of one purpose.
#[derive(Clone)]
pub struct Seal {
    cipher: XChaCha20Poly1305,
    key: Secret,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// The seal that `master` gives for `purpose`.
    pub fn derive(master: &Secret, purpose: &str) -> Self {
        let bytes = expand(master.reveal().as_bytes(), purpose);
        Self { cipher: XChaCha20Poly1305::new(&bytes.into()), key: Secret::new(hex(&bytes)) }
    }

    /// A password for `purpose`: always the same one from the same master key.
    pub fn password(&self, purpose: &str) -> Secret {
        Secret::new(hex(&expand(self.key.reveal().as_bytes(), purpose)))
    }

    /// Seals `secret` for `context`.
    pub fn seal(&self, secret: &Secret, context: &str) -> String {
        let nonce = random_bytes::<24>();
        let payload = Payload { msg: secret.reveal().as_bytes(), aad: context.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("a secret is far below the cipher's limit");
        STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for `context`.
    pub fn open(&self, sealed: &str, context: &str) -> Result<Secret, SealError> {
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| SealError::Closed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<24>().ok_or(SealError::Closed)?;
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload);
        let text = String::from_utf8(opened.map_err(|_| SealError::Closed)?);
        text.map(Secret::new).map_err(|_| SealError::Closed)
    }
}

fn expand(key: &[u8], purpose: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let expanded =
        Hkdf::<Sha256>::new(Some(b"mandate"), key).expand(purpose.as_bytes(), &mut bytes);
    expanded.expect("32 bytes are within HKDF's limit");
    bytes
}

/// The key in the file at `path`, 32 bytes as hexadecimal digits; made if there is none.
pub(crate) fn key_file(path: &Path) -> Result<String, SealError> {
    let text = private_file(path, || hex(&random_bytes::<32>()))?;
    match unhex::<32>(&text) {
        Some(_) => Ok(text),
        None => Err(SealError::unreadable(path)),
    }
}

/// What the 0600 file at `path` holds; if there is none it is written first, whole or not at all.
pub fn private_file(path: &Path, make: impl FnOnce() -> String) -> Result<String, SealError> {
    let failed = |cause| SealError::file(path, cause);
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {}
        Err(cause) => return Err(failed(cause)),
    }
    let fresh = written_beside(path, &make()).map_err(failed)?;
    // A link fails where a rename would replace, so of two processes that start at once one wins.
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh).map_err(failed)?;
    match linked {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => return Err(failed(cause)),
        _ => {}
    }
    let mut text = String::new();
    fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)).map_err(failed)?;
    Ok(text.trim().to_owned())
}

/// Puts `text` into the 0600 file at `path`, in place of what it held.
pub fn replace_private_file(path: &Path, text: &str) -> Result<(), SealError> {
    let failed = |cause| SealError::file(path, cause);
    let fresh = written_beside(path, text).map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)
}

/// A new 0600 file next to `path` that holds `text`.
fn written_beside(path: &Path, text: &str) -> std::io::Result<PathBuf> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension(format!("new{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()?;
    Ok(fresh)
}

/// Bytes that nobody can guess.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    rand::random()
}

/// A secret that nobody can guess, 32 letters and digits.
pub fn random_secret() -> Secret {
    Secret::new(hex(&random_bytes::<16>()))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const_hex::encode(bytes)
}

/// The `N` bytes that `text` is in hexadecimal digits, and in nothing else.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The library would also take a `0x` in front.
    (text.len() == 2 * N).then(|| const_hex::decode_to_array(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_where_it_was_sealed() {
        let seal = Seal::derive(&Secret::new("master"), "configurator");
        let sealed = seal.seal(&Secret::new("hunter2"), "instance/1");
        assert_eq!(seal.open(&sealed, "instance/1").unwrap().reveal(), "hunter2");
        assert!(seal.open(&sealed, "instance/2").is_err());
        let other = Seal::derive(&Secret::new("master"), "billing");
        assert!(other.open(&sealed, "instance/1").is_err());
        assert_ne!(sealed, seal.seal(&Secret::new("hunter2"), "instance/1"));
    }

    #[test]
    fn a_key_that_is_empty_or_short_is_refused() {
        let folder = std::env::temp_dir().join(format!("mandate-keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("master.key");
        let made = key_file(&path).unwrap();
        assert_eq!(key_file(&path).unwrap(), made);
        for wrong in ["", "\n", "secret", &made[..62], &"-".repeat(64)] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(key_file(&path), Err(SealError::Unreadable(_))), "{wrong:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn hexadecimal_digits_read_back() {
        assert_eq!(unhex::<3>(&hex(&[0, 15, 255])), Some([0, 15, 255]));
        assert_eq!(unhex::<3>("00ff"), None);
        assert_eq!(unhex::<1>("é"), None);
        assert_eq!(unhex::<1>("+f"), None, "a sign is no digit");
        assert_eq!((unhex::<1>("0x"), unhex::<1>("0xff")), (None, None));
    }
}
