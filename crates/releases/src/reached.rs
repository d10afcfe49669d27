//! Which gateways have had an answer from which new replica. No instance is led to one before all have:
//! that its agent has is not enough, since another machine may not reach it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use api::{
    Empty,
    releases::{PutReached, REACHED_MAX, ReplicaAddress},
};
use chassis::{Call, Room};
use types::{NodeId, ReplicaId};

use crate::{
    Error, State,
    nodes::{tell_gateways, told},
    store,
};

/// What gateways have said of replicas that are not proven. They say it again as long as those are not,
/// so it can be lost.
#[derive(Default)]
pub(crate) struct Reached(Mutex<HashMap<ReplicaId, Answers>>);

/// Where a replica has answered, and whom.
#[derive(Default)]
struct Answers {
    at: String,
    whom: HashSet<String>,
}

impl Reached {
    fn lock(&self) -> MutexGuard<'_, HashMap<ReplicaId, Answers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A replica has answered a gateway. Says whether it has answered all of these.
    fn by_all(&self, (replica, at): (ReplicaId, &str), gateway: &str, all: &[String]) -> bool {
        let mut said = self.lock();
        let answers = said.entry(replica).or_default();
        if answers.at != at {
            *answers = Answers { at: at.to_owned(), whom: HashSet::new() };
        }
        answers.whom.insert(gateway.to_owned());
        all.iter().all(|gateway| answers.whom.contains(gateway))
    }

    /// Nobody waits for it any more.
    pub(crate) fn forget(&self, replica: ReplicaId) {
        self.lock().remove(&replica);
    }
}

/// Takes what a gateway says. What it names that is proven, gone or elsewhere is passed over.
pub(crate) async fn put_reached(cx: Call<State>, op: PutReached) -> Result<Empty, Error> {
    if op.replicas.len() > REACHED_MAX {
        return Err(Error::TooManyReached);
    }
    let all = cx.gateways();
    let known = store::addresses(cx.db(), &op.replicas.keys().copied().collect()).await?;
    let mut proven: BTreeMap<NodeId, Vec<ReplicaAddress>> = BTreeMap::new();
    for replica in known.into_values().flatten() {
        let is_it = op.replicas.get(&replica.replica) == Some(&replica.address);
        let place = (replica.replica, replica.address.as_str());
        if is_it && replica.unproven && cx.state().reached.by_all(place, &op.gateway, &all) {
            proven.entry(replica.node).or_default().push(replica);
        }
    }
    for (node, replicas) in proven {
        prove(&cx, node, &replicas).await?;
    }
    Ok(Empty {})
}

async fn prove(cx: &Call<State>, node: NodeId, replicas: &[ReplicaAddress]) -> Result<(), Error> {
    let Some(talking) = cx.state().nodes.talking(node) else { return Ok(()) };
    let mut talk = talking.lock().await;
    let before = told(&mut talk, cx, node).await?;
    let mut after = before.clone();
    for replica in replicas {
        // Meanwhile it may be another process, elsewhere.
        if let Some(Some(it)) = after.get_mut(&replica.replica)
            && it.address == replica.address
        {
            it.unproven = false;
        }
    }
    let mut write = cx.begin().await?;
    tell_gateways(&mut write, &before, &after).await?;
    write.commit().await?;
    talk.told = Some(after);
    for replica in replicas {
        cx.state().reached.forget(replica.replica);
    }
    cx.nudge();
    Ok(())
}

/// Those of these replicas that the gateways were told of, and that have answered all of them.
pub(crate) async fn reached(
    room: &Room<State>,
    replicas: &BTreeSet<ReplicaId>,
) -> Result<BTreeSet<ReplicaId>, Error> {
    let told = store::addresses(room.db(), replicas).await?;
    let nobody_asks = room.gateways().is_empty();
    let is_proven = |it: &Option<ReplicaAddress>| it.as_ref().is_none_or(|it| !it.unproven);
    let proven = told.into_iter().filter(|(_, it)| nobody_asks || is_proven(it));
    Ok(proven.map(|(replica, _)| replica).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_another_address_counts_for_nothing() {
        let (replica, reached) = (ReplicaId::named(&["replica"]), Reached::default());
        let both = ["one".to_owned(), "two".to_owned()];
        assert!(!reached.by_all((replica, "127.0.0.1:1"), "one", &both));
        assert!(!reached.by_all((replica, "127.0.0.1:2"), "two", &both));
        assert!(reached.by_all((replica, "127.0.0.1:2"), "one", &both));
        assert!(reached.by_all((replica, "127.0.0.1:2"), "two", &both[1..]));
    }
}
