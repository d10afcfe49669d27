//! The releases that run: the current one of each service, and those that instances are still on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chassis::Room;
use types::{Digest, Name};

use crate::{
    Error, State,
    store::{self, Stored},
};

/// None of them is read twice.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    current: BTreeMap<Name, Arc<Stored>>,
    all: HashMap<Digest, Arc<Stored>>,
}

/// Shared by whoever needs them; the same as long as they are the same.
pub(crate) type Releases = Arc<InUse>;

impl InUse {
    /// Those with these names; `known` has some of them already, and is answered if it has just
    /// these.
    pub(crate) async fn read(
        room: &Room<State>,
        current: Vec<(Name, Digest)>,
        others: BTreeSet<(Name, Digest)>,
        known: Option<&Releases>,
    ) -> Result<Releases, Error> {
        let wanted: BTreeSet<(Name, Digest)> = others.into_iter().chain(current.clone()).collect();
        if let Some(known) = known.filter(|known| known.are(&current, &wanted)) {
            return Ok(Arc::clone(known));
        }
        let mut all = HashMap::with_capacity(wanted.len());
        for (service, digest) in wanted {
            let stored = match known.and_then(|known| known.get(&digest)) {
                Some(same) => Some(Arc::clone(same)),
                None => store::release(room.db(), &service, &digest).await?.map(Arc::new),
            };
            all.extend(stored.map(|stored| (digest, stored)));
        }
        let of = |(service, digest)| Some((service, Arc::clone(all.get(&digest)?)));
        Ok(Arc::new(Self { current: current.into_iter().filter_map(of).collect(), all }))
    }

    fn are(&self, current: &[(Name, Digest)], all: &BTreeSet<(Name, Digest)>) -> bool {
        self.have(current)
            && self.all.len() == all.len()
            && all.iter().all(|(_, digest)| self.all.contains_key(digest))
    }

    /// Whether these are the current ones.
    pub(crate) fn have(&self, current: &[(Name, Digest)]) -> bool {
        let mut here = self.current.iter();
        let same = |(service, digest): &(Name, Digest)| {
            here.next().is_some_and(|(name, it)| name == service && it.release.digest == *digest)
        };
        self.current.len() == current.len() && current.iter().all(same)
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<&Arc<Stored>> {
        self.all.get(digest)
    }

    /// The current one of a service.
    pub(crate) fn current_of(&self, service: &Name) -> Option<&Arc<Stored>> {
        self.current.get(service)
    }

    /// The current one of each service.
    pub(crate) fn current(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.current.values()
    }

    /// In no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.all.values()
    }
}
