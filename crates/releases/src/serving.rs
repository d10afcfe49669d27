//! How the next release of an instance is seen to be, where the instance is.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use api::{
    configurator::Route,
    manifest::Tenancy,
    releases::{GetStanding, ReleaseState, ReplicaReport, ReplicaState, Standing},
};
use chassis::{Call, Room};
use types::{Digest, InstanceId, NodeId, ReplicaId};

use crate::{
    Error, State,
    plan::{self, Processes, migrates, processes, replicas, runs},
    planning::{self, Plan},
    reached::reached,
    rollout::Seen,
    said::Report,
    store::Stored,
};

/// Longer last words are cut.
const WORDS_CHARS_MAX: usize = 200;

/// What the living say.
pub(crate) struct Serving<'s> {
    room: &'s Room<State>,
    plan: &'s Plan,
    nodes: HashMap<NodeId, Heard>,
    processes: HashMap<&'s Digest, OnceLock<Processes>>,
}

/// What has changed since is known to the nodes that are told of it by the answer to their next
/// heartbeat; until then what they say is of before.
pub(crate) async fn get_standing(cx: Call<State>, op: GetStanding) -> Result<Standing, Error> {
    let plan = planning::plan(&cx).await?;
    let standing = Serving::new(&cx, &plan).standing(op.instance).await?;
    if standing.serves {
        cx.copies_have_all().await?;
    }
    Ok(standing)
}

/// What a node says.
struct Heard {
    report: Arc<Report>,
    /// Where in it each replica is, once somebody asks.
    places: OnceLock<HashMap<ReplicaId, usize>>,
}

impl Heard {
    fn of(&self, replica: ReplicaId) -> Option<&ReplicaReport> {
        let places = self.places.get_or_init(|| {
            let places = self.report.replicas.iter().zip(0..);
            places.map(|(it, place)| (it.replica, place)).collect()
        });
        self.report.replicas.get(*places.get(&replica)?)
    }
}

/// What the nodes say of a release for an instance.
enum Said {
    /// All that it runs is healthy: these are sent requests.
    Serves(Vec<ReplicaId>),
    Other(Seen),
}

impl<'s> Serving<'s> {
    pub(crate) fn new(room: &'s Room<State>, plan: &'s Plan) -> Self {
        let nodes = plan.alive().iter().filter_map(|host| {
            let (report, _) = room.state().nodes.report(host.node)?;
            Some((host.node, Heard { report, places: OnceLock::new() }))
        });
        let all = plan.releases.all();
        let processes = all.map(|it| (&it.release.digest, OnceLock::new())).collect();
        Self { room, plan, nodes: nodes.collect(), processes }
    }

    /// How the current release is seen to be for each of these, whether or not they are on it. It
    /// serves when the gateways were told of all that is to be sent requests.
    pub(crate) async fn of(
        &self,
        instances: impl IntoIterator<Item = InstanceId>,
    ) -> Result<HashMap<InstanceId, Seen>, Error> {
        let mut said = Vec::new();
        for instance in instances {
            said.push((instance, self.said_of(instance)?));
        }
        let serve = said.iter().filter_map(|(_, said)| match said {
            Said::Serves(replicas) => Some(replicas),
            Said::Other(_) => None,
        });
        let named: BTreeSet<ReplicaId> = serve.flatten().copied().collect();
        let reached = reached(self.room, &named).await?;
        let seen = said.into_iter().map(|(instance, said)| {
            let seen = match said {
                Said::Serves(all) if all.iter().all(|it| reached.contains(it)) => Seen::Serves,
                Said::Serves(_) => Seen::Unreached,
                Said::Other(seen) => seen,
            };
            (instance, seen)
        });
        Ok(seen.collect())
    }

    fn said_of(&self, instance: InstanceId) -> Result<Said, Error> {
        let nothing = || Said::Serves(Vec::new());
        // What has ended is nowhere.
        let Some(route) = self.room.state().planning.route(instance)? else { return Ok(nothing()) };
        let Some(next) = plan::next(&self.plan.releases, &route) else { return Ok(nothing()) };
        let is_shared = next.tenancy() == Tenancy::Shared;
        // What it has of its own begins when its database was migrated, and is looked at then.
        if !is_shared && (!runs(&route) || migrates(next, &route)) {
            return Ok(nothing());
        }
        Ok(self.of_unit(&route, next, is_shared))
    }

    /// Whether anything that is an instance's own may still run, and whether all that it is to run
    /// now serves.
    pub(crate) async fn standing(&self, instance: InstanceId) -> Result<Standing, Error> {
        let route = self.room.state().planning.route(instance)?.ok_or(Error::NoInstance)?;
        let may_run = self.may_run(&route);
        let wanted = route.moving.as_ref().map(|moving| moving.runs.clone());
        let wanted = wanted.unwrap_or_else(|| [route.release.clone()].into());
        let mut standing = Standing { runs: may_run, serves: true, problem: None };
        for digest in wanted {
            let Some(release) = self.plan.releases.get(&digest) else {
                standing.serves = false;
                continue;
            };
            let is_shared = release.tenancy() == Tenancy::Shared;
            // What is suspended has no processes of its own.
            if !is_shared && !runs(&route) {
                continue;
            }
            match self.of_unit(&route, release, is_shared) {
                Said::Serves(all) => {
                    let all: BTreeSet<ReplicaId> = all.into_iter().collect();
                    standing.serves &= reached(self.room, &all).await? == all;
                }
                Said::Other(seen) => {
                    standing.serves = false;
                    if let Seen::Fails(why) = seen {
                        standing.problem = Some(why);
                    }
                }
            }
        }
        Ok(standing)
    }

    /// A node that is not heard of may run whatever it was told to.
    fn may_run(&self, route: &Route) -> bool {
        let places = self.room.state().placing.read();
        let place = places.get(&route.instance).copied().unwrap_or_default();
        let nodes = [place.node, place.former].into_iter().flatten();
        let mut said = nodes.map(|node| self.nodes.get(&node));
        said.any(|heard| {
            heard.is_none_or(|heard| {
                heard.report.replicas.iter().any(|it| it.instance == Some(route.instance))
            })
        })
    }

    fn of_unit(&self, route: &Route, next: &Stored, is_shared: bool) -> Said {
        let starts = || Said::Other(Seen::Starts);
        let nodes: Vec<NodeId> = if is_shared {
            let hosts = self.plan.alive().iter().filter(|host| !host.yields);
            let labels = &next.manifest.placement.labels;
            hosts.filter(|host| host.machine.has(labels)).map(|host| host.node).collect()
        } else {
            let places = self.room.state().placing.read();
            places.get(&route.instance).and_then(|place| place.node).into_iter().collect()
        };
        let known = self.processes.get(&next.release.digest).filter(|_| !nodes.is_empty());
        let Some(known) = known else { return starts() };
        let processes = Arc::clone(known.get_or_init(|| processes(&next.manifest)));
        let unit = plan::unit(next, processes, (!is_shared).then_some(route));
        let (mut serving, mut is_healthy) = (Vec::new(), true);
        for node in nodes {
            let Some(heard) = self.nodes.get(&node) else { return starts() };
            if let Some(why) = unbuilt(&heard.report, &next.release.digest) {
                return Said::Other(Seen::Fails(why));
            }
            for replica in replicas(&unit, node) {
                let said = heard.of(replica.replica);
                if let Some(why) = said.and_then(|said| crashed(&heard.report, said)) {
                    return Said::Other(Seen::Fails(why));
                }
                is_healthy &= said.is_some_and(|said| said.state == ReplicaState::Healthy);
                serving.extend(replica.serves().then_some(replica.replica));
            }
        }
        if is_healthy { Said::Serves(serving) } else { starts() }
    }
}

fn unbuilt(report: &Report, release: &Digest) -> Option<String> {
    let said = report.releases.iter().find(|said| said.digest == *release)?;
    let failed = said.state == ReleaseState::Failed;
    failed.then(|| format!("node `{}` cannot have the release: {}", report.name, words(&said.log)))
}

fn crashed(report: &Report, replica: &ReplicaReport) -> Option<String> {
    (replica.state == ReplicaState::CrashLoop).then(|| {
        let (process, node) = (&replica.process, &report.name);
        let (starts, words) = (replica.starts, words(&replica.log));
        format!("its process `{process}` has ended {starts} times on node `{node}`: {words}")
    })
}

fn words(log: &str) -> String {
    let last = log.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.unwrap_or("it said nothing").chars().take(WORDS_CHARS_MAX).collect()
}
