//! Which release does which jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use api::jobs::{JobDefinition, SETUP_CLASS};
use chassis::Room;
use types::{Digest, Name};

use crate::{
    Error, State as Memory,
    releases::{Known, known},
    store::{self, Kind},
};

/// The releases by which lanes are to be done, of each service. What is not used any more is
/// forgotten with the process.
#[derive(Debug, Default)]
pub(crate) struct InUse(Mutex<BTreeMap<Name, BTreeSet<Option<Digest>>>>);

impl InUse {
    pub(crate) fn add(&self, service: &Name, release: &Digest) {
        self.insert(service, Some(release.clone()));
    }

    fn insert(&self, service: &Name, release: Option<Digest>) {
        let mut all = self.0.lock().expect("nobody panics while holding it");
        all.entry(service.clone()).or_default().insert(release);
    }

    pub(crate) fn of(&self, service: &Name) -> BTreeSet<Option<Digest>> {
        let all = self.0.lock().expect("nobody panics while holding it");
        all.get(service).cloned().unwrap_or_default()
    }
}

/// What lanes say that were there before this process.
pub(crate) async fn remember(room: Room<Memory>) -> Result<(), Error> {
    for (service, release) in store::releases_of_lanes(room.db()).await? {
        room.state().in_use.insert(&service, release);
    }
    Ok(())
}

/// A release that is ready on the node.
pub(crate) struct Offer {
    pub(crate) release: Digest,
    is_current: bool,
    pub(crate) known: Known,
}

/// Of these releases those that were promoted once, a service's newest first.
pub(crate) async fn offers(room: &Room<Memory>, releases: &[Digest]) -> Result<Vec<Offer>, Error> {
    let mut offers = Vec::new();
    for store::Release { digest, is_current, .. } in store::releases(room.db(), releases).await? {
        if let Some(known) = known(room, &digest).await? {
            offers.push(Offer { release: digest, is_current, known });
        }
    }
    Ok(offers)
}

/// A release that does a job, and how.
pub(crate) type Doer<'o> = (&'o Offer, &'o JobDefinition);

/// A kind of job, and who does it for instances on which release.
#[derive(Clone)]
pub(crate) struct Able<'o> {
    pub(crate) kind: Kind,
    doers: BTreeMap<Option<Digest>, Doer<'o>>,
}

impl<'o> Able<'o> {
    /// Nothing if none of the releases does it for anybody.
    pub(crate) async fn of(
        room: &Room<Memory>,
        offers: &'o [Offer],
        kind: Kind,
    ) -> Result<Option<Self>, Error> {
        let mut doers = BTreeMap::new();
        for release in room.state().in_use.of(&kind.service) {
            let own = match &release {
                Some(release) => known(room, release).await?,
                None => None,
            };
            let own = release.as_ref().map(|release| (release, own.as_ref()));
            if let Some(doer) = doer(offers, &kind, own) {
                doers.insert(release, doer);
            }
        }
        Ok((!doers.is_empty()).then_some(Self { kind, doers }))
    }

    /// For instances on which releases it is done.
    pub(crate) fn releases(&self) -> Vec<Option<Digest>> {
        self.doers.keys().cloned().collect()
    }

    /// Who does it for instances on this release.
    pub(crate) fn doer(&self, release: Option<&Digest>) -> Option<Doer<'o>> {
        self.doers.get(&release.cloned()).copied()
    }

    /// What those say who do it.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = &'o JobDefinition> {
        self.doers.values().map(|(_, definition)| *definition)
    }
}

/// Which of the releases does a kind of job for an instance: the one that the instance is on if that
/// accepts it, or else the newest that does, since it is by that one that what was queued before an
/// update can still be done. What is done by one release alone, as a set-up, is done by no other.
fn doer<'o>(
    offers: &'o [Offer],
    kind: &Kind,
    own: Option<(&Digest, Option<&Known>)>,
) -> Option<Doer<'o>> {
    let accepting = |offer: &'o Offer| Some((offer, offer.known.accepting(kind)?));
    let is_bound = kind.class == SETUP_CLASS;
    let mut offers = offers.iter();
    let Some((release, known)) = own else {
        return offers.filter(|offer| offer.is_current || !is_bound).find_map(accepting);
    };
    if is_bound || known.is_some_and(|known| known.accepting(kind).is_some()) {
        return offers.find(|offer| offer.release == *release).and_then(accepting);
    }
    let shape = known.map(|known| known.shape).unwrap_or_default();
    offers.filter(|offer| offer.known.can_stand_in(shape)).find_map(accepting)
}
