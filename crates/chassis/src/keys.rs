//! Who may speak for whom: each component's own signing key, and everybody's public keys.
//!
//! A component's private key is in a 0600 file that only its process reads. The public halves lie
//! side by side; a process looks again when it meets a name it does not know, since another
//! process may just have been started for the first time.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use api::{
    Credentials,
    http::token::{ASKING_LIFE, Asking, Claims, sign},
};
use ed25519_dalek::{SigningKey, VerifyingKey};
use tokio::time::Instant;
use types::{Clock, Principal};

use crate::seal::{SealError, hex, key_file, unhex};

/// The public keys of the platform's components, in a folder.
#[derive(Clone)]
pub struct KeyRing(Arc<Ring>);

struct Ring {
    folder: PathBuf,
    known: RwLock<HashMap<String, VerifyingKey>>,
    looked: Mutex<Option<Instant>>,
}

impl KeyRing {
    /// The ring in `folder`, which is made if it is not there.
    pub fn open(folder: &Path) -> Result<Self, SealError> {
        std::fs::create_dir_all(folder).map_err(|cause| SealError::file(folder, cause))?;
        let ring =
            Ring { folder: folder.to_owned(), known: RwLock::default(), looked: Mutex::default() };
        let ring = Self(Arc::new(ring));
        ring.look();
        Ok(ring)
    }

    /// The component's own key; made, and its public half put on the ring, if there is none.
    pub fn signer(&self, name: &'static str, clock: Arc<dyn Clock>) -> Result<Signer, SealError> {
        let path = self.0.folder.join(format!("{name}.key"));
        let text = key_file(&path)?;
        let seed: [u8; 32] = unhex(&text).ok_or_else(|| SealError::unreadable(&path))?;
        let key = SigningKey::from_bytes(&seed);
        let public = self.0.folder.join(format!("{name}.pub"));
        let written = hex(key.verifying_key().as_bytes());
        if std::fs::read_to_string(&public).ok().as_deref() != Some(&written) {
            let fresh = public.with_extension("pub.new");
            std::fs::write(&fresh, &written).map_err(|cause| SealError::file(&fresh, cause))?;
            std::fs::rename(&fresh, &public).map_err(|cause| SealError::file(&public, cause))?;
        }
        self.look();
        Ok(Signer { name, key: Arc::new(key), clock, tokens: Arc::default() })
    }

    /// The public key of the component `name`.
    pub fn find(&self, name: &str) -> Option<VerifyingKey> {
        let known =
            || self.0.known.read().expect("nobody panics while holding it").get(name).copied();
        known().or_else(|| {
            if !api::PRINCIPALS.contains(&name) || !self.may_look() {
                return None;
            }
            self.look();
            known()
        })
    }

    fn may_look(&self) -> bool {
        let mut looked = self.0.looked.lock().expect("nobody panics while holding it");
        let due = looked.is_none_or(|last| last.elapsed() > Duration::from_secs(1));
        if due {
            *looked = Some(Instant::now());
        }
        due
    }

    fn look(&self) {
        for name in api::PRINCIPALS {
            let text = std::fs::read_to_string(self.0.folder.join(format!("{name}.pub")));
            let key = text.ok().and_then(|text| unhex::<32>(text.trim()));
            if let Some(key) = key.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()) {
                let mut known = self.0.known.write().expect("nobody panics while holding it");
                known.insert(name.to_owned(), key);
            }
        }
    }
}

/// Signs as one component.
#[derive(Clone)]
pub struct Signer {
    name: &'static str,
    key: Arc<SigningKey>,
    clock: Arc<dyn Clock>,
    tokens: Arc<Asking>,
}

impl Signer {
    /// What its signatures are checked with, 64 hexadecimal digits.
    pub fn public_key(&self) -> String {
        hex(self.key.verifying_key().as_bytes())
    }

    /// Signs `claims` in the component's name.
    pub fn sign(&self, claims: &Claims) -> String {
        sign(self.name, &self.key, claims)
    }
}

impl Credentials for Signer {
    fn bearer(&self, audience: &str) -> Option<Arc<str>> {
        let now = self.clock.now();
        self.tokens.token(audience, now, || {
            let sub = Principal::Service(self.name.parse().ok()?);
            Some(self.sign(&Claims::new(sub, audience, now, ASKING_LIFE)))
        })
    }
}

#[cfg(test)]
mod tests {
    use types::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn a_clock_that_leaps_leaves_no_token_that_nobody_takes() {
        let noon: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(noon));
        let key = Arc::new(SigningKey::from_bytes(&[7; 32]));
        let tokens = Arc::default();
        let signer = Signer { name: "jobs", key, clock: clock.clone(), tokens };
        let first = signer.bearer("billing");
        clock.advance(ASKING_LIFE / 4);
        assert_eq!(signer.bearer("billing"), first, "it is good for longer");
        for leap in ["2026-12-03T00:00:00Z", "2026-11-30T00:00:00Z"] {
            let now: Timestamp = leap.parse().unwrap();
            clock.set(now);
            let token = signer.bearer("billing").unwrap();
            let find = |_: &str| Some(signer.key.verifying_key());
            let (_, claims) = api::http::token::verify(&token, find).unwrap();
            assert!(claims.is_valid_at(now) && !claims.is_of_the_future(now), "{leap}");
        }
    }
}
