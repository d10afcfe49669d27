//! Passwords, kept as Argon2id hashes.
//!
//! Parameters are OWASP's floor (19 MiB, 2 passes): about 30 ms of a core for each sign-in. Only
//! a few are computed at once and few may wait, so that a flood of sign-ins costs neither the
//! memory nor the cores that everybody else needs.

use std::sync::Arc;

use argon2::{
    Argon2, PasswordHasher as _, PasswordVerifier as _, password_hash::phc::PasswordHash,
};
use tokio::sync::Semaphore;
use types::Secret;

use crate::Error;

const AT_ONCE: usize = 2;
const WAITING_MAX: usize = 64;

/// What an unknown user's password is compared with, so that it takes as long as a known one's.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) struct Passwords {
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        Self { slots, queue: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)) }
    }

    /// The hash to keep for a new password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, Error> {
        let length = password.reveal().chars().count();
        if !(10..=200).contains(&length) {
            return Err(Error::Password);
        }
        let hashed = self.compute(move || {
            let hash = Argon2::default().hash_password(password.reveal().as_bytes());
            hash.map(|hash| hash.to_string()).ok()
        });
        hashed.await?.ok_or(Error::Hashing)
    }

    /// Whether `password` is the one that `hash` was made of; `None` stands for an unknown user.
    pub(crate) async fn is_right(
        &self,
        password: Secret,
        hash: Option<String>,
    ) -> Result<bool, Error> {
        if password.reveal().len() > 1_000 {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let same = self.compute(move || {
            let hash = PasswordHash::new(&hash).ok()?;
            Argon2::default().verify_password(password.reveal().as_bytes(), &hash).ok()
        });
        Ok(same.await?.is_some() && known)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let _place = self.queue.try_acquire().map_err(|_| Error::Busy)?;
        let _slot = self.slots.acquire().await.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Hashing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = Passwords::new();
        let hash = passwords.hash(Secret::new("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(
            passwords.is_right(Secret::new("correct horse"), Some(hash.clone())).await.unwrap()
        );
        assert!(!passwords.is_right(Secret::new("correct house"), Some(hash)).await.unwrap());
        assert!(!passwords.is_right(Secret::new("correct horse"), None).await.unwrap());
        assert!(PasswordHash::new(NOBODY).is_ok(), "or an unknown user would be told at once");
        assert!(passwords.hash(Secret::new("short")).await.is_err());
    }
}
