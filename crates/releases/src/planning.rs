//! The plan as it stands: made anew when what it follows from has changed, shared by all nodes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use api::{
    configurator::{InstanceState, Route},
    releases::DesiredReplica,
};
use chassis::{Copy, Room, Update};
use tokio::sync::{Mutex, watch};
use types::{AccountId, Digest, InstanceId, Name, NodeId};

use crate::{
    Error, State,
    in_use::{InUse, Names, Releases},
    placing::{Host, Places},
    plan, store,
};

/// What is kept in memory for planning.
pub(crate) struct Planning {
    /// The instances, by the configurator's feed; `None` before the first snapshot.
    routes: RwLock<Option<Copy<Route>>>,
    /// How often they or the releases that run have changed.
    inputs: AtomicU64,
    plan: Mutex<Option<Arc<Plan>>>,
    changed: watch::Sender<()>,
}

/// What is to run, and where.
pub(crate) struct Plan {
    inputs: u64,
    alive: Arc<[Host]>,
    pub(crate) releases: Releases,
    /// The instances that are not on the current release of their service, and take part in its
    /// rollout.
    pub(crate) behind: Vec<InstanceId>,
    /// The others that are not on it: not set up yet, and running nothing.
    pub(crate) idle: Vec<InstanceId>,
    /// Those that are being set up by a former one.
    pub(crate) setting_up: Vec<InstanceId>,
    /// Those that are on their way with their databases, wherever that leads.
    pub(crate) moving: Vec<InstanceId>,
    /// Whose each instance is.
    pub(crate) owners: HashMap<InstanceId, AccountId>,
    shares: BTreeMap<NodeId, Arc<[DesiredReplica]>>,
    counts: HashMap<Digest, usize>,
}

impl Planning {
    pub(crate) fn new() -> Self {
        Self {
            routes: RwLock::default(),
            inputs: AtomicU64::default(),
            plan: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    pub(crate) fn apply(&self, update: &Update) {
        self.routes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_default()
            .apply(update);
        self.something_changed();
    }

    /// An instance as the configurator tells of it.
    pub(crate) fn route(&self, instance: InstanceId) -> Result<Option<Arc<Route>>, Error> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let routes = routes.as_ref().ok_or(Error::Starting)?;
        Ok(routes.get(&instance.to_string()).cloned())
    }

    /// Whether an instance of a service is on its way.
    pub(crate) fn is_any_moving(&self, service: &Name) -> Result<bool, Error> {
        let mut is_any = false;
        self.each_route(|route| is_any |= route.moving.is_some() && route.service == *service)?;
        Ok(is_any)
    }

    /// The instances or the releases that run have changed.
    pub(crate) fn something_changed(&self) {
        self.inputs.fetch_add(1, Ordering::AcqRel);
        self.changed.send_replace(());
    }

    /// What lives or what it may be asked has changed.
    pub(crate) fn nodes_changed(&self) {
        self.changed.send_replace(());
    }

    /// Every instance as the configurator tells of it, in no order.
    pub(crate) fn each_route(&self, mut see: impl FnMut(&Route)) -> Result<(), Error> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let routes = routes.as_ref().ok_or(Error::Starting)?;
        routes.values().for_each(|route| see(route));
        Ok(())
    }

    /// Whoever waits for another plan looks again.
    pub(crate) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// Tells of other plans from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl Plan {
    /// The number of what it follows from.
    pub(crate) fn inputs(&self) -> u64 {
        self.inputs
    }

    /// What a node is to run; nothing if it does not live.
    pub(crate) fn share(&self, node: NodeId) -> Arc<[DesiredReplica]> {
        self.shares.get(&node).map_or_else(|| [].into(), Arc::clone)
    }

    /// Who lives.
    pub(crate) fn alive(&self) -> &[Host] {
        &self.alive
    }

    /// How many replicas of a release are to run.
    pub(crate) fn replicas_of(&self, digest: &Digest) -> usize {
        self.counts.get(digest).copied().unwrap_or_default()
    }

    /// What has not changed since `before` is taken from there.
    fn new(
        (inputs, releases, alive): (u64, Releases, Arc<[Host]>),
        starting: &HashSet<InstanceId>,
        routes: &Copy<Route>,
        places: &Places,
        before: Option<&Self>,
    ) -> Self {
        let units = plan::units(&releases, starting, routes.values().map(Arc::as_ref));
        let behind = routes.values().filter(|route| plan::next(&releases, route).is_some());
        let (behind, others): (Vec<&Arc<Route>>, Vec<_>) = behind.partition(|it| takes_part(it));
        let (setting_up, idle): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|it| it.state == InstanceState::SettingUp);
        let ids = |routes: Vec<&Arc<Route>>| routes.iter().map(|route| route.instance).collect();
        let (behind, idle, setting_up) = (ids(behind), ids(idle), ids(setting_up));
        let moving = ids(routes.values().filter(|route| route.moving.is_some()).collect());
        let mut counts = HashMap::new();
        let shares = plan::shares(&units, &alive, places).into_iter().map(|(node, share)| {
            for new in &share {
                *counts.entry(new.digest.clone()).or_default() += 1;
            }
            let same = before.and_then(|before| before.shares.get(&node));
            let same = same.filter(|same| ***same == *share);
            (node, same.map_or_else(|| share.into(), Arc::clone))
        });
        let shares = shares.collect();
        let owners = routes.values().map(|route| (route.instance, route.account)).collect();
        Self { inputs, alive, releases, behind, idle, setting_up, moving, owners, shares, counts }
    }
}

/// The plan for this moment. As long as it is the one of before, nothing is asked or made.
pub(crate) async fn plan(room: &Room<State>) -> Result<Arc<Plan>, Error> {
    if !room.state().placing.is_known() {
        return Err(Error::Starting);
    }
    prepared(room).await
}

/// The same for whoever can wait: nothing as long as it is not known what runs.
pub(crate) async fn plan_if_known(room: &Room<State>) -> Result<Option<Arc<Plan>>, Error> {
    match plan(room).await {
        Err(Error::Starting) => Ok(None),
        plan => plan.map(Some),
    }
}

/// The same, also before it is known where everything is: nodes are told nothing of it.
pub(crate) async fn prepared(room: &Room<State>) -> Result<Arc<Plan>, Error> {
    let planning = &room.state().planning;
    let mut made = planning.plan.lock().await;
    let alive = room.state().nodes.alive(room.now());
    // Read before what it counts, so that a change meanwhile makes another plan.
    let inputs = planning.inputs.load(Ordering::Acquire);
    let same = |plan: &&Arc<Plan>| plan.inputs == inputs && Arc::ptr_eq(&plan.alive, &alive);
    if let Some(plan) = made.as_ref().filter(same) {
        return Ok(Arc::clone(plan));
    }
    let before = made.as_deref();
    let releases = match before.filter(|before| before.inputs == inputs) {
        Some(before) => Arc::clone(&before.releases),
        None => releases(room, before.map(|before| &before.releases)).await?,
    };
    let starting = store::starting(room.db()).await?;
    let plan = {
        let routes = planning.routes.read().unwrap_or_else(PoisonError::into_inner);
        let routes = routes.as_ref().ok_or(Error::Starting)?;
        let places = room.state().placing.read();
        Arc::new(Plan::new((inputs, releases, alive), &starting, routes, &places, before))
    };
    *made = Some(Arc::clone(&plan));
    planning.changed.send_replace(());
    Ok(plan)
}

/// Whether an instance is moved by a rollout. One that is not set up yet, and runs nothing, is on
/// the current release at once.
fn takes_part(route: &Route) -> bool {
    route.state == InstanceState::Open || plan::runs(route)
}

/// The releases that run; the same if they are those that are known.
async fn releases(room: &Room<State>, known: Option<&Releases>) -> Result<Releases, Error> {
    let (current, staged) = (store::current(room.db()).await?, store::staged(room.db()).await?);
    let mut others = BTreeSet::new();
    room.state().planning.each_route(|route| {
        others.insert((route.service.clone(), route.release.clone()));
        let meanwhile = route.moving.iter().flat_map(|moving| &moving.runs);
        others.extend(meanwhile.map(|digest| (route.service.clone(), digest.clone())));
    })?;
    let runs = |name: &(Name, Digest)| others.contains(name) || current.contains(name);
    let mut beside: BTreeSet<(Name, Digest)> = staged.into_iter().collect();
    beside.extend(store::kept(room.db()).await?);
    beside.retain(|name| !runs(name));
    let beside = beside.into_iter().collect();
    InUse::read(room, Names { current, others, beside }, known).await
}

/// Makes the plan that holds now. Whoever changes the releases that run says so; that it was
/// committed and not said is found here.
pub(crate) async fn look(room: &Room<State>) -> Result<(), Error> {
    let plan = plan(room).await?;
    if !plan.releases.have(&store::current(room.db()).await?) {
        room.state().planning.something_changed();
        self::plan(room).await?;
    }
    Ok(())
}
