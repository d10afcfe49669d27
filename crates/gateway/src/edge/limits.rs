//! How many connections there may be, altogether and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::request::proxies::Proxies;

/// So many connections are served at once; more wait to be taken.
const CONNECTIONS_MAX: usize = 8_192;
/// So many of them from one address; more are closed, so that one visitor cannot keep all others
/// out. A proxy that the operator named brings everybody's.
const CONNECTIONS_MAX_FROM_ONE: usize = 2_048;

/// The slots that connections take.
#[derive(Clone)]
pub(super) struct Limits {
    all: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    proxies: Proxies,
}

/// A slot, free again once nobody holds it.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    peer: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Limits {
    pub(super) fn new(proxies: Proxies) -> Self {
        let all = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { all, taken: Arc::default(), proxies }
    }

    /// Returns once there is room for another connection.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    /// A slot for `peer`, unless it has enough of them.
    pub(super) fn take(&self, permit: OwnedSemaphorePermit, peer: IpAddr) -> Option<Slot> {
        let mut taken = self.taken.lock().expect("nobody panics while holding it");
        let count = taken.entry(peer).or_default();
        if *count >= CONNECTIONS_MAX_FROM_ONE && !self.proxies.include(peer) {
            return None;
        }
        *count += 1;
        Some(Slot { _permit: permit, peer, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().expect("nobody panics while holding it");
        if let Some(count) = taken.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_visitor_leaves_room_for_others() {
        let proxy = [127, 0, 0, 3].into();
        let limits = Limits::new(Proxies::new(&[ipnet::IpNet::from(proxy)]));
        let (greedy, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let mut held = Vec::new();
        while let Some(slot) = limits.take(limits.room().await.unwrap(), greedy) {
            held.push(slot);
        }
        assert_eq!(held.len(), CONNECTIONS_MAX_FROM_ONE);
        assert!(limits.take(limits.room().await.unwrap(), other).is_some());
        let brought = (0..=CONNECTIONS_MAX_FROM_ONE).map(|_| {
            let permit = Arc::clone(&limits.all).try_acquire_owned().unwrap();
            limits.take(permit, proxy).unwrap()
        });
        assert_eq!(brought.collect::<Vec<_>>().len(), CONNECTIONS_MAX_FROM_ONE + 1);
        held.pop();
        assert!(limits.take(limits.room().await.unwrap(), greedy).is_some());
        held.clear();
        assert!(limits.taken.lock().unwrap().is_empty());
        assert_eq!(limits.all.available_permits(), CONNECTIONS_MAX);
    }
}
