//! Which release was healthy last, of an instance or of a shared service on a node: it runs until
//! its successor is healthy. Held in memory, and written down when it changes.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use types::Digest;

/// The release of each unit.
#[derive(Default)]
pub(crate) struct Health(RwLock<HashMap<String, Digest>>);

impl Health {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Digest>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is written down.
    pub(crate) fn extend(&self, written: impl IntoIterator<Item = (String, Digest)>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(written);
    }

    /// Forgets what is not written down any more.
    pub(crate) fn forget(&self, units: &[String]) {
        let mut healthy = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for unit in units {
            healthy.remove(unit);
        }
    }
}
