//! The plan as it stands: made anew when what it follows from has changed, shared by all nodes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use api::{configurator::Route, releases::DesiredReplica};
use chassis::{Copy, Room, Update};
use tokio::sync::{Mutex, watch};
use types::{AccountId, Digest, InstanceId, Name, NodeId};

use crate::{
    Error, State, plan,
    store::{self, Stored},
};

/// A node that was not heard of for longer is gone.
pub(crate) const ALIVE: Duration = Duration::from_secs(15);

/// What is kept in memory for planning.
pub(crate) struct Planning {
    /// The instances, by the configurator's feed; `None` before the first snapshot.
    routes: RwLock<Option<Copy<Route>>>,
    /// How often they have changed.
    routes_changed: AtomicU64,
    plan: Mutex<Option<(Basis, Arc<Plan>)>>,
    changed: watch::Sender<()>,
}

/// What a plan follows from.
#[derive(PartialEq, Eq)]
struct Basis {
    routes_changed: u64,
    current: Vec<(Name, Digest)>,
    alive: Vec<NodeId>,
}

/// What is to run, and where.
pub(crate) struct Plan {
    /// The release of each service that runs.
    pub(crate) current: Vec<Arc<Stored>>,
    /// Whose each instance is.
    pub(crate) owners: BTreeMap<InstanceId, AccountId>,
    shares: BTreeMap<NodeId, Vec<DesiredReplica>>,
}

impl Planning {
    pub(crate) fn new() -> Self {
        Self {
            routes: RwLock::default(),
            routes_changed: AtomicU64::default(),
            plan: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    pub(crate) fn apply(&self, update: &Update) {
        let mut routes = self.routes.write().expect("nobody panics while holding it");
        routes.get_or_insert_default().apply(update);
        self.routes_changed.fetch_add(1, Ordering::AcqRel);
        drop(routes);
        self.look_again();
    }

    /// An instance as the configurator tells of it.
    pub(crate) fn route(&self, instance: InstanceId) -> Result<Option<Arc<Route>>, Error> {
        let routes = self.routes.read().expect("nobody panics while holding it");
        let routes = routes.as_ref().ok_or(Error::Starting)?;
        Ok(routes.get(&instance.to_string()).cloned())
    }

    /// Wakes who waits for another plan.
    pub(crate) fn look_again(&self) {
        self.changed.send_replace(());
    }

    /// Tells of other plans from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl Plan {
    /// What a node is to run; nothing if it does not live.
    pub(crate) fn share(&self, node: NodeId) -> &[DesiredReplica] {
        self.shares.get(&node).map_or(&[], Vec::as_slice)
    }

    /// How many replicas of a release are to run.
    pub(crate) fn replicas_of(&self, digest: &Digest) -> usize {
        self.shares.values().flatten().filter(|replica| replica.digest == *digest).count()
    }

    fn new(current: Vec<Arc<Stored>>, alive: &[NodeId], routes: &Copy<Route>) -> Self {
        let units = plan::units(&current, routes.values().map(Arc::as_ref));
        let share = |node: &NodeId| (*node, plan::replicas(&units, alive, *node));
        let owners = routes.values().map(|route| (route.instance, route.account)).collect();
        Self { current, owners, shares: alive.iter().map(share).collect() }
    }
}

/// The plan for this moment. Two small questions say whether it is still the one of before.
pub(crate) async fn plan(room: &Room<State>) -> Result<Arc<Plan>, Error> {
    let planning = &room.state().planning;
    let mut made = planning.plan.lock().await;
    let basis = Basis {
        routes_changed: planning.routes_changed.load(Ordering::Acquire),
        current: store::current(room.db()).await?,
        alive: store::alive(room.db(), room.now().minus(ALIVE)).await?,
    };
    if let Some((_, plan)) = made.as_ref().filter(|(known, _)| *known == basis) {
        return Ok(Arc::clone(plan));
    }
    let known = made.as_ref().map(|(_, plan)| plan.current.as_slice()).unwrap_or_default();
    let mut current = Vec::with_capacity(basis.current.len());
    for (service, digest) in &basis.current {
        let same = known.iter().find(|stored| stored.is(service, digest));
        match same {
            Some(same) => current.push(Arc::clone(same)),
            None => current.extend(store::release(room.db(), service, digest).await?.map(Arc::new)),
        }
    }
    let plan = {
        let routes = planning.routes.read().expect("nobody panics while holding it");
        Arc::new(Plan::new(current, &basis.alive, routes.as_ref().ok_or(Error::Starting)?))
    };
    *made = Some((basis, Arc::clone(&plan)));
    planning.look_again();
    Ok(plan)
}
