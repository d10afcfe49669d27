//! Which nodes ask for jobs, and what no release that there is can do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use chassis::{Next, Room};
use types::{Digest, NodeId, Timestamp};

use crate::{
    Error, State as Memory,
    releases::{Known, known},
    store::{self, Kind},
};

/// A node that has not asked for so long does not live.
const LIFE: Duration = Duration::from_mins(1);

/// The nodes that ask, with the releases that are ready on each.
#[derive(Debug, Default)]
pub(crate) struct Workers(Mutex<BTreeMap<NodeId, (Timestamp, BTreeSet<Digest>)>>);

impl Workers {
    pub(crate) fn saw(&self, node: NodeId, releases: &[Digest], now: Timestamp) {
        let mut workers = self.0.lock().expect("nobody panics while holding it");
        workers.insert(node, (now, releases.iter().cloned().collect()));
    }

    /// The releases that living nodes have.
    fn living(&self, now: Timestamp) -> BTreeSet<Digest> {
        let mut workers = self.0.lock().expect("nobody panics while holding it");
        workers.retain(|_, (seen, _)| now.since(*seen) <= LIFE);
        workers.values().flat_map(|(_, releases)| releases.clone()).collect()
    }
}

/// Says which kinds of jobs are stranded: neither their service's current release nor any that a
/// living node has accepts them. Nothing is done to their jobs, so they are ready as soon as a
/// release comes that does.
pub(crate) async fn look_for_stranded(room: Room<Memory>) -> Result<Next, Error> {
    let mut releases = room.state().workers.living(room.now());
    releases.extend(store::current_releases(room.db()).await?);
    let mut living: Vec<Known> = Vec::new();
    for release in releases {
        living.extend(known(&room, &release).await?);
    }
    for (kind, was_stranded) in store::kinds(room.db()).await? {
        let stranded = !living.iter().any(|known| known.accepting(&kind).is_some());
        if stranded != was_stranded {
            say(&room, &kind, stranded).await?;
        }
    }
    Ok(Next::Idle)
}

async fn say(room: &Room<Memory>, kind: &Kind, stranded: bool) -> Result<(), Error> {
    let mut write = room.begin().await?;
    let waiting = store::set_stranded(write.tx(), kind, stranded).await?;
    write.commit().await?;
    let Kind { service, name, version, .. } = kind;
    if stranded {
        tracing::warn!(
            %service,
            name,
            version,
            waiting,
            "jobs are stranded: no release accepts their version; publish one that does"
        );
    } else {
        tracing::info!(%service, name, version, waiting, "jobs are not stranded any more");
    }
    Ok(())
}
