//! The releases that are needed: the current one of each service, those that instances are still on,
//! those that can be promoted next, and those that only can do some jobs.

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
    /// Those that run.
    all: HashMap<Digest, Arc<Stored>>,
    /// Those that nodes have beside: staged ones, and those that only can do some jobs.
    beside: HashMap<Digest, Arc<Stored>>,
}

/// What they are called.
pub(crate) struct Names {
    pub(crate) current: Vec<(Name, Digest)>,
    /// Those that instances are on.
    pub(crate) others: BTreeSet<(Name, Digest)>,
    pub(crate) beside: Vec<(Name, Digest)>,
}

/// Shared by whoever needs them; the same as long as they are the same.
pub(crate) type Releases = Arc<InUse>;

impl InUse {
    /// Those with these names; `known` has some of them already, and is answered if it has just
    /// these.
    pub(crate) async fn read(
        room: &Room<State>,
        names: Names,
        known: Option<&Releases>,
    ) -> Result<Releases, Error> {
        let Names { current, others, beside } = names;
        let wanted: BTreeSet<(Name, Digest)> = others.into_iter().chain(current.clone()).collect();
        let is_same = |known: &&Releases| {
            known.have(&current)
                && has(&known.all, wanted.iter())
                && has(&known.beside, beside.iter())
        };
        if let Some(known) = known.filter(is_same) {
            return Ok(Arc::clone(known));
        }
        let all = read_all(room, wanted, known).await?;
        let beside = read_all(room, beside, known).await?;
        let of = |(service, digest)| Some((service, Arc::clone(all.get(&digest)?)));
        let current = current.into_iter().filter_map(of).collect();
        Ok(Arc::new(Self { current, all, beside }))
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

    /// Those that nodes make ready though nothing of them runs.
    pub(crate) fn beside(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.beside.values()
    }

    /// The current one of a service.
    pub(crate) fn current_of(&self, service: &Name) -> Option<&Arc<Stored>> {
        self.current.get(service)
    }

    /// Whether it is the current one of its service.
    pub(crate) fn is_current(&self, service: &Name, digest: &Digest) -> bool {
        self.current_of(service).is_some_and(|current| current.release.digest == *digest)
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

fn has<'n>(
    known: &HashMap<Digest, Arc<Stored>>,
    mut names: impl ExactSizeIterator<Item = &'n (Name, Digest)>,
) -> bool {
    known.len() == names.len() && names.all(|(_, digest)| known.contains_key(digest))
}

async fn read_all(
    room: &Room<State>,
    names: impl IntoIterator<Item = (Name, Digest)>,
    known: Option<&Releases>,
) -> Result<HashMap<Digest, Arc<Stored>>, Error> {
    let mut all = HashMap::new();
    for (service, digest) in names {
        let same = known.and_then(|known| known.get(&digest).or(known.beside.get(&digest)));
        let stored = match same {
            Some(same) => Some(Arc::clone(same)),
            None => store::release(room.db(), &service, &digest).await?.map(Arc::new),
        };
        all.extend(stored.map(|stored| (digest, stored)));
    }
    Ok(all)
}
