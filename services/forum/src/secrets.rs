//! Passwords and tokens: made here, kept only as hashes.

use std::fmt::Write as _;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::error::Error;

/// Each takes some 20 MiB for a moment, so that few at once keep a small process small.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// What is checked for a member who does not exist, so that both answers take as long.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hash of a password, with its salt.
pub(crate) async fn hash_password(password: String) -> Result<String, Error> {
    aside(move || {
        let hash: PasswordHash = Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(|error| Error::internal(&error))?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether `password` is the one with `hash`; without a hash, no password is.
pub(crate) async fn verify(password: String, hash: Option<String>) -> Result<bool, Error> {
    aside(move || {
        let known = hash.is_some();
        let hash = hash.as_deref().unwrap_or(NOBODY);
        Ok(Argon2::default().verify_password(password.as_bytes(), hash).is_ok() && known)
    })
    .await
}

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let permit = AT_ONCE.acquire().await.map_err(|error| Error::internal(&error))?;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    done.await.map_err(|error| Error::internal(&error))?
}

/// A token that nobody guesses: 256 bits as text.
pub(crate) fn token() -> String {
    hex(&rand::random::<[u8; 32]>())
}

/// What is kept of a token.
pub(crate) fn hash_token(token: &str) -> String {
    hex(&Sha256::digest(token))
}

/// An id for a row: short enough for an address that people read out.
pub(crate) fn id() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let bytes = rand::random::<[u8; 10]>();
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_only() {
        let hash = hash_password("correct horse".into()).await.unwrap();
        assert!(!hash.contains("correct"));
        assert!(verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!verify("wrong horse".into(), Some(hash)).await.unwrap());
        assert!(!verify("any".into(), None).await.unwrap());
    }

    #[test]
    fn nobodys_hash_costs_as_much_as_anybodys() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        let real: PasswordHash = Argon2::default().hash_password(b"x").unwrap();
        assert_eq!(hash.params.to_string(), real.params.to_string());
    }
}
