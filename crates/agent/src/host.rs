//! What an agent can see and do on its node, with two ways to be one: real processes, and the
//! simulated node of the tests.

use std::{collections::BTreeMap, future::Future};

use api::releases::{DesiredRelease, DesiredReplica, ReleaseReport, ReplicaReport, ReplicaState};
use tokio::sync::watch;
use types::{Digest, Name, ReplicaId, Timestamp};

use crate::logs::Printed;

/// A node, as the agent's loop sees it.
pub(crate) trait Host: Send {
    /// What it has and runs now.
    fn observe(&mut self) -> Observed;

    /// Begins a step. It never waits: how the step goes shows in what is observed.
    fn act(&mut self, step: Step);

    /// What its replicas print.
    fn printed(&self) -> Vec<Printed>;

    /// Returns when the node is no longer as it was last observed.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;

    /// Stops everything that runs.
    fn stop(self) -> impl Future<Output = ()> + Send;

    /// Leaves what runs for the next agent.
    fn leave(self) -> impl Future<Output = ()> + Send;
}

/// Something to do on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Fetch a release and make it ready, for databases of this engine; again until it succeeds.
    Install(Box<DesiredRelease>, String),
    /// Remove a release that nothing uses.
    Remove(Digest),
    /// Say that this is the release that the service runs.
    Promote(Name, Digest),
    /// Start a replica, and again whenever it ends.
    Start(DesiredReplica),
    /// Take a generation of a replica out of service, then stop it.
    Stop(ReplicaId, u64),
}

/// What a node has and runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// Differs whenever a state differs; what is printed does not count.
    pub(crate) revision: u64,
    /// Its releases.
    pub(crate) releases: Vec<ObservedRelease>,
    /// Its replicas, also those that are being stopped.
    pub(crate) replicas: Vec<ObservedReplica>,
    /// The release that each service runs.
    pub(crate) current: BTreeMap<Name, Digest>,
}

/// A release on a node.
#[derive(Debug, Clone)]
pub(crate) struct ObservedRelease {
    pub(crate) report: ReleaseReport,
    /// The engine that it was made ready for.
    pub(crate) engine: String,
    /// When it became ready, or was begun.
    pub(crate) since: Timestamp,
    /// Whether a replica or a job runs from it.
    pub(crate) in_use: bool,
    /// Whether its package is given to other nodes.
    pub(crate) shared: bool,
}

/// A replica on a node.
#[derive(Debug, Clone)]
pub(crate) struct ObservedReplica {
    pub(crate) report: ReplicaReport,
    pub(crate) generation: u64,
    /// It is being stopped, and out of service already: nobody is told of it any more.
    pub(crate) stopping: bool,
}

impl ObservedReplica {
    /// Whether requests may be sent to it.
    pub(crate) fn is_healthy(&self) -> bool {
        self.report.state == ReplicaState::Healthy && !self.stopping
    }
}

/// Tells that the node's state changed. Clones tell the same listeners.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(watch::Sender<u64>);

impl Changes {
    /// Something changed.
    pub(crate) fn tell(&self) {
        self.0.send_modify(|revision| *revision += 1);
    }

    /// Hears of changes from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
